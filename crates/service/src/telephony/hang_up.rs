//! Hanging up: a primary call ends with its session, any other call ends alone.

use patchbay_domain::{call::CallEvent, session::reason};
use patchbay_persistence::{TenantTx, calls::Call};

use crate::{
    Result, Service,
    jobs::queue,
    sessions::{
        aggregate::SessionAggregate,
        stop::{StopRequest, stop},
    },
};

/// Stops the session of a primary call, or ends any other call alone.
pub async fn hang_up(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
    call: &Call,
) -> Result<()> {
    if call.is_primary && !call.state.is_terminal() {
        return stop(service, tx, aggregate, StopRequest::default()).await;
    }
    let now = service.clock.now();
    aggregate.apply_to_call(call.id, &CallEvent::HangUp(reason::STOPPED), now);
    queue::enqueue_session(service, tx, aggregate.session.id).await
}
