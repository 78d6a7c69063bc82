//! The only source of time and of ids.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Datelike as _, DurationRound, TimeDelta, Utc};
use serde::{Deserialize as _, Deserializer, de::Error as _};
use uuid::{NoContext, Timestamp, Uuid};

use crate::id::Id;

/// A source of time and ids. Cheap to clone; clones share their state.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Starts at a fixed time and advances one millisecond with every call.
    Stepped {
        start: DateTime<Utc>,
        steps: Arc<AtomicU64>,
    },
}

impl Clock {
    /// The system's clock and random ids.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A reproducible clock for tests: the n-th value is always the same.
    pub fn stepped(start: DateTime<Utc>) -> Self {
        Self(Source::Stepped {
            start,
            steps: Arc::default(),
        })
    }

    /// The time now, in whole microseconds, which is what PostgreSQL keeps.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System => system_now(),
            Source::Stepped { start, steps } => {
                let step = steps.fetch_add(1, Ordering::Relaxed);
                *start + TimeDelta::milliseconds(i64::try_from(step).unwrap_or(i64::MAX))
            }
        }
    }

    /// A new UUIDv7 id, ordered by time.
    pub fn new_id<K>(&self) -> Id<K> {
        Id::new(self.new_uuid())
    }

    /// A new UUIDv7.
    pub fn new_uuid(&self) -> Uuid {
        match &self.0 {
            Source::System => system_uuid(),
            Source::Stepped { .. } => {
                let now = self.now();
                let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
                let time = Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos());
                let mut bytes = *Uuid::new_v7(time).as_bytes();
                bytes[9..].fill(0);
                Uuid::from_bytes(bytes)
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the machine"
)]
fn system_now() -> DateTime<Utc> {
    let now = Utc::now();
    now.duration_trunc(TimeDelta::microseconds(1))
        .unwrap_or(now)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the machine"
)]
fn system_uuid() -> Uuid {
    Uuid::now_v7()
}
/// Deserializes a time within the years of RFC 3339: PostgreSQL and date arithmetic fail on others.
pub fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let time = DateTime::<Utc>::deserialize(deserializer)?;
    match time.year() {
        1..=9999 => Ok(time),
        _ => Err(D::Error::custom("a time of the years 1 to 9999 is needed")),
    }
}

/// The same for an optional field.
pub fn read_optional_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Time(#[serde(deserialize_with = "read_time")] DateTime<Utc>);
    let time = Option::<Time>::deserialize(deserializer)?;
    Ok(time.map(|Time(time)| time))
}
