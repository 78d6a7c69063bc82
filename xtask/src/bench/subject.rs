//! Common context of the benchmarks.

use std::path::Path;

use crate::{dev::Running, seed::Seeded, tools::Tools};

/// No limits, as the work itself is measured.
pub const UNLIMITED: &str = "reads=0,writes=0,starts=0";

/// The context of a benchmark.
pub struct Bench<'a> {
    /// The installed servers.
    pub tools: &'a Tools,
    /// A scratch folder.
    pub folder: &'a Path,
    /// The stack, and the API on it.
    pub running: &'a Running,
    /// A tenant with an agent.
    pub seeded: &'a Seeded,
}
