//! The names of a template: loop variables, and lookups in its data.

/// A name that a template looks up in its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name itself.
    pub name: String,
    /// The field of the name, if the template accesses one.
    pub field: Option<String>,
    /// Whether `{{ name.field }}` is the whole tag.
    pub is_alone: bool,
}

/// The names in scope, and the lookups so far.
#[derive(Default)]
pub(super) struct Scope {
    /// The variables of the enclosing loops.
    pub names: Vec<String>,
    pub lookups: Vec<Lookup>,
}
