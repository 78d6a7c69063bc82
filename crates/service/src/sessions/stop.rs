//! Stops a session.

use patchbay_domain::session::{SessionState, reason};
use patchbay_persistence::TenantTx;

use super::aggregate::SessionAggregate;
use crate::{Result, Service, jobs::queue};

/// A request to stop a session.
#[derive(Debug, Default)]
pub struct StopRequest {
    /// End reason; `stopped` by default.
    pub reason: Option<String>,
    /// Error that the worker reports; it makes the session `failed`.
    pub error: Option<String>,
}

/// Stops a session. A session that was never started ends at once; otherwise its job is enqueued. Does nothing
/// if the session is over.
pub async fn stop(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
    request: StopRequest,
) -> Result<()> {
    match (aggregate.session.state, request.error) {
        (SessionState::Ended | SessionState::Failed, _) => return Ok(()),
        // Its job may have failed for good since.
        (SessionState::Stopping, _) => {}
        (SessionState::Created, _) => {
            aggregate.enter(SessionState::Ended, Some(reason::CANCELED));
            return Ok(());
        }
        (_, Some(error)) => {
            aggregate.session.error_detail = Some(error);
            let reason = request.reason.as_deref().unwrap_or(reason::AGENT_ERROR);
            aggregate.enter(SessionState::Failed, Some(reason));
        }
        (_, None) => {
            let reason = request.reason.as_deref().unwrap_or(reason::STOPPED);
            aggregate.enter(SessionState::Stopping, Some(reason));
        }
    }
    queue::enqueue_session(service, tx, aggregate.session.id).await
}
