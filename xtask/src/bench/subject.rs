//! What the benches have in hand.

use std::path::Path;

use crate::{dev::Running, seed::Seeded, tools::Tools};

/// What is measured.
pub struct Bench<'a> {
    /// Where the servers are.
    pub tools: &'a Tools,
    /// A folder for what is written meanwhile.
    pub folder: &'a Path,
    /// The stack, and the API on it.
    pub running: &'a Running,
    /// A tenant with an agent.
    pub seeded: &'a Seeded,
}
