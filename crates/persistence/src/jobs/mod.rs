//! Jobs: at most one for a kind and subject, claimed under a lease.
//!
//! A job says "check this subject", never "do this": its worker reads the subject's state and acts on it, so a
//! job that runs twice, late or after a crash does no harm.

mod claim;
mod dead;
mod job;
mod list;
mod queue;

pub use claim::{claim, claim_ingests, heartbeat, hold, release};
pub use dead::{bury_unknown, retry, revive};
pub use job::{CRASHED, Claim, Job, MAX_CRASHES, Outcome};
pub use list::{Filter, JobRow, find, list};
pub use queue::{Subject, enqueue, next_due, seed};
