//! Agent runs: each is one attempt to have an agent in a session.

use patchbay_domain::session::RunState;
use patchbay_persistence::runs::AgentRun;

use super::{aggregate::SessionAggregate, configuration::PinnedConfiguration};
use crate::Service;

/// Adds a run to be dispatched: of the session's own agent, or of the agent of `further`.
pub fn add_run(
    service: &Service,
    aggregate: &mut SessionAggregate,
    (attempt, further): (i32, Option<PinnedConfiguration>),
) -> AgentRun {
    let session = &aggregate.session;
    let mut run = AgentRun {
        tenant_id: session.tenant_id,
        id: service.clock.new_id(),
        session_id: session.id,
        configuration_digest: session.configuration_digest.clone(),
        is_primary: further.is_none(),
        attempt,
        state: RunState::Pending,
        dispatch_id: None,
        participant_sid: None,
        participant_identity: None,
        created_at: service.clock.now(),
        dispatched_at: None,
        joined_at: None,
        left_at: None,
        missing_since: None,
        agent_id: Some(session.agent_id),
        worker_name: None,
        rendered_prompt: None,
        rendered_greeting: None,
        dispatches: 0,
        last_dispatched_at: None,
        taken_at: None,
        error_detail: None,
    };
    if let Some(pinned) = further {
        run.agent_id = Some(pinned.agent.id);
        run.configuration_digest = pinned.digest;
        run.worker_name = Some(pinned.agent.worker_name);
        run.rendered_prompt = Some(pinned.rendered.prompt);
        run.rendered_greeting = pinned.rendered.greeting;
    }
    aggregate.runs.push(run.clone());
    run
}
