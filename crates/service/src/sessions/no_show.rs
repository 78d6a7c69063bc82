//! Explains why no agent has come, in words that an operator can act on.

use patchbay_domain::{session::RunState, worker::Availability};
use patchbay_persistence::{TenantTx, runs::AgentRun, workers};

use crate::{Result, Service, workers::alive_after};

/// Why the agent of a dispatched run has not joined.
pub(super) async fn explain(
    service: &Service,
    tx: &mut TenantTx,
    run: &AgentRun,
    worker: &str,
) -> Result<String> {
    if run.taken_at.is_some() {
        return Ok(explain_closed(RunState::NoShow));
    }
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

/// Why a run that a worker had taken is over.
pub(super) fn explain_closed(state: RunState) -> String {
    let why = match state {
        RunState::NoShow => {
            "A worker took the dispatch, but its agent did not join in time. The worker's log says why."
        }
        _ => {
            "The agent left the room without a report. The worker may have crashed; its log says why."
        }
    };
    why.to_owned()
}
