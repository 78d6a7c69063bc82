//! Dead jobs: those that this version does not know, and occasional attempts of the others.

use chrono::TimeDelta;
use patchbay_persistence::{Connection, jobs};

use crate::{Result, Service};

/// Delay before another attempt of a dead job; its cause may have been fixed by then.
pub(super) const DELAY: TimeDelta = TimeDelta::hours(1);

/// Makes jobs that have been dead for [`DELAY`] due for one more attempt.
pub(super) async fn attempt_again(service: &Service) -> Result<()> {
    let now = service.clock.now();
    let mut connection = service.db.connection().await?;
    bury_unknown(service, &mut connection).await?;
    let count = jobs::revive(&mut connection, now, now - DELAY).await?;
    if count > 0 {
        tracing::warn!(count, "dead jobs are attempted once more");
    }
    Ok(())
}

/// Declares jobs of unknown kinds dead, which another version has scheduled.
pub(super) async fn bury_unknown(service: &Service, connection: &mut Connection) -> Result<()> {
    let count = jobs::bury_unknown(connection, service.clock.now()).await?;
    if count > 0 {
        tracing::error!(
            count,
            "jobs of kinds that this version does not know are dead"
        );
    }
    Ok(())
}
