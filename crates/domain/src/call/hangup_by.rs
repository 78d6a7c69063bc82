//! Who ended an answered call.

/// Who called.
pub const CALLER: &str = "caller";
/// Who was called.
pub const CALLEE: &str = "callee";
/// The agent.
pub const AGENT: &str = "agent";
/// Patchbay: a stop, the maximum duration, or a failure.
pub const US: &str = "us";
