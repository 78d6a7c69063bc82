//! Waits until LiveKit has confirmed a requested change.

use std::time::Duration;

use patchbay_domain::{SessionId, TenantId, session::SessionState};
use patchbay_persistence::sessions::{self, Session};
use tokio::time::{Instant, sleep};

use crate::{Error, Result, Service};

/// Whether the agent has been dispatched.
pub fn is_dispatched(session: &Session) -> bool {
    session.state != SessionState::Starting || session.dispatched_at.is_some()
}

/// Whether the session is over.
pub fn is_over(session: &Session) -> bool {
    session.state.is_terminal()
}

/// Wakes the session's job and waits until `done` holds for the session, at most for the setting `start_wait`.
/// Returns the session and whether `done` holds.
pub async fn wait_until(
    service: &Service,
    tenant: TenantId,
    id: SessionId,
    done: impl Fn(&Session) -> bool,
) -> Result<(Session, bool)> {
    service.job_due.notify_one();
    let deadline = Instant::now() + service.settings.start_wait;
    let mut pause = Duration::from_millis(4);
    loop {
        let mut tx = service.db.begin(tenant).await?;
        let session = sessions::find(&mut tx, id).await?;
        tx.finish();
        let session = session.ok_or_else(Error::not_found)?;
        let is_done = done(&session);
        if is_done || Instant::now() + pause > deadline {
            return Ok((session, is_done));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}
