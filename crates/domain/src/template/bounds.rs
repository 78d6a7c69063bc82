//! Limits of length and depth of a template.

/// Maximum characters of one tag.
pub const MAX_TAG: usize = 1_000;
/// Maximum tags of one template.
pub const MAX_TAGS: usize = 2_000;
/// Maximum depth of nested blocks, and of brackets in one expression.
pub const MAX_DEPTH: usize = 16;
