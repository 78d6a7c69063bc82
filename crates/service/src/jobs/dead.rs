//! Dead jobs: those that this version does not know, and occasional attempts of the others.

use chrono::TimeDelta;
use patchbay_persistence::jobs;

use crate::{Result, Service};

/// Delay before another attempt of a dead job; its cause may have been fixed by then.
pub(super) const DELAY: TimeDelta = TimeDelta::hours(1);

/// Makes jobs that have been dead for [`DELAY`] due for one more attempt, and declares those dead that have been due for
/// as long and that this version does not know.
pub(super) async fn attempt_again(service: &Service) -> Result<()> {
    let now = service.clock.now();
    let mut connection = service.db.connection().await?;
    let unknown = jobs::bury_unknown(&mut connection, now, now - DELAY).await?;
    if unknown > 0 {
        tracing::error!(
            count = unknown,
            "jobs of kinds that this version does not know are dead"
        );
    }
    let count = jobs::revive(&mut connection, now, now - DELAY).await?;
    if count > 0 {
        tracing::warn!(count, "dead jobs are attempted once more");
    }
    Ok(())
}
