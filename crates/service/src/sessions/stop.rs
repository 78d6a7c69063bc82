//! Stopping a session.

use patchbay_domain::session::{SessionState, reason};
use patchbay_persistence::TenantTx;

use super::aggregate::SessionAggregate;
use crate::{Result, Service, jobs::queue};

/// How a stop was asked for.
#[derive(Debug, Default)]
pub struct StopRequest {
    /// Why; `stopped` by default.
    pub reason: Option<String>,
    /// The worker's own error: the session has failed.
    pub error: Option<String>,
}

/// Asks for the end. A second stop finds it done.
pub async fn stop(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
    request: StopRequest,
) -> Result<()> {
    match (aggregate.session.state, request.error) {
        (SessionState::Stopping | SessionState::Ended | SessionState::Failed, _) => return Ok(()),
        (SessionState::Created, _) => {
            aggregate.enter(SessionState::Ended, Some(reason::CANCELED));
            return Ok(());
        }
        (_, Some(error)) => {
            aggregate.session.error_detail = Some(error);
            let why = request.reason.as_deref().unwrap_or(reason::AGENT_ERROR);
            aggregate.enter(SessionState::Failed, Some(why));
        }
        (_, None) => {
            let why = request.reason.as_deref().unwrap_or(reason::STOPPED);
            aggregate.enter(SessionState::Stopping, Some(why));
        }
    }
    queue::session(service, tx, aggregate.session.id).await
}
