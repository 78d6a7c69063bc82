//! Hanging up: the session that was made for a call ends with it, and any other call ends alone.

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

/// Ends the session that was made for the call, or the call alone.
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
    queue::session(service, tx, aggregate.session.id).await
}
