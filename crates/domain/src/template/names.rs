//! The names of a template: those it gives itself, and those it looks up in its data.

/// A name that a template looks up in its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name itself.
    pub name: String,
    /// The field that is taken of it, where the template names one.
    pub field: Option<String>,
    /// Whether `{{ name.field }}` is all that the tag holds.
    pub is_alone: bool,
}

/// Which names are known where, and which were looked up in the data.
#[derive(Default)]
pub(super) struct Scope {
    /// The names that the loops around give.
    pub names: Vec<String>,
    pub lookups: Vec<Lookup>,
}
