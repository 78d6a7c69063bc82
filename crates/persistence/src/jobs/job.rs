//! A claimed job, and the outcome of an attempt.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Integer, Nullable, Text, Uuid as SqlUuid},
};
use patchbay_domain::{TenantId, states::JobKind};
use uuid::Uuid;

/// A job is dead after this many consecutive crashes.
pub const MAX_CRASHES: i32 = 10;

/// The stored error of a job that crashed; the log has more.
pub const CRASHED: &str = "it panicked, or ended the process";

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Nothing is left to do.
    Done,
    /// To be run again at this time.
    Again(DateTime<Utc>),
    /// It failed with this error, and is retried at this time.
    Failed(DateTime<Utc>, &'a str),
    /// It crashed, and is retried at this time.
    Crashed(DateTime<Utc>),
    /// It is not retried, for this reason.
    Dead(&'a str),
}

/// Proof that a job was claimed. What the job writes is checked against it, so that a process that has lost its claim,
/// because it was paused or cut off from the database, changes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Kind of the job.
    pub kind: JobKind,
    /// What the job is about.
    pub subject_id: Uuid,
    /// Differs with every claim.
    pub token: Uuid,
}

/// A claimed job.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Job {
    #[diesel(sql_type = Text)]
    pub kind: JobKind,
    #[diesel(sql_type = SqlUuid)]
    pub subject_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub tenant_id: Option<TenantId>,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Integer)]
    pub crashes: i32,
    #[diesel(sql_type = BigInt)]
    pub generation: i64,
    #[diesel(sql_type = SqlUuid)]
    pub claim: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub traceparent: Option<String>,
}

impl Job {
    /// The claim under which it runs.
    pub const fn claim(&self) -> Claim {
        Claim {
            kind: self.kind,
            subject_id: self.subject_id,
            token: self.claim,
        }
    }
}
