//! How long and how deep a template may be.

/// Most characters of one tag.
pub const MAX_TAG: usize = 1_000;
/// Most tags of one template.
pub const MAX_TAGS: usize = 2_000;
/// Most levels of blocks in each other, and of brackets in one expression.
pub const MAX_DEPTH: usize = 16;
