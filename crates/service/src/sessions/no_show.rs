//! Explains why an agent has not come, or is gone, in words that an operator can act on.

use patchbay_domain::{session::RunState, worker::Availability};
use patchbay_persistence::{TenantTx, runs::AgentRun, sessions::Session, workers};

use crate::{Result, Service, workers::alive_after};

/// Why a run ends in this state.
pub(super) async fn explain(
    service: &Service,
    tx: &mut TenantTx,
    session: &Session,
    (run, state): (&AgentRun, RunState),
) -> Result<String> {
    let why = match run.state {
        _ if state == RunState::Lost => {
            "The agent left the room without a report. The worker may have crashed; its log says why."
        }
        RunState::Dispatched if run.taken_at.is_some() => {
            "A worker took the dispatch, but its agent did not join in time. The worker's log says why."
        }
        RunState::Dispatched => return explain_dropped(service, tx, session, run).await,
        _ => {
            let cause = session.last_error.as_deref().unwrap_or("it was not tried");
            return Ok(format!(
                "The agent could not be dispatched in time: {cause}."
            ));
        }
    };
    Ok(why.to_owned())
}

/// Why no worker has taken any dispatch of the run.
async fn explain_dropped(
    service: &Service,
    tx: &mut TenantTx,
    session: &Session,
    run: &AgentRun,
) -> Result<String> {
    let worker = run.worker_name.as_ref().unwrap_or(&session.worker_name);
    let count = match run.dispatches {
        1 => "the dispatch".to_owned(),
        count => format!("any of {count} dispatches"),
    };
    let cause = match workers::availability(tx, worker, alive_after(service)).await? {
        Availability::Unknown => {
            format!(
                "no worker has registered as `{worker}`. Start one that connects to this LiveKit"
            )
        }
        Availability::Absent => {
            format!("no worker that has registered as `{worker}` is alive. Start one")
        }
        Availability::Full => format!(
            "all workers that have registered as `{worker}` are full or draining. Start another, or raise their capacity"
        ),
        Availability::Ready => format!(
            "a worker that has registered as `{worker}` has room, but it took none. Check that it is connected to this LiveKit, and that it answers within 3 s"
        ),
    };
    Ok(format!("No worker took {count}: {cause}."))
}
