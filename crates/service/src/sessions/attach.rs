//! Attaches a participant to a live session: a further agent, a user, or a phone call.

use chrono::TimeDelta;
use patchbay_domain::{AgentId, BindingId, SessionId, prompt::Variables};
use patchbay_persistence::{
    calls::Call, participants::Participant, runs::AgentRun, sessions::Session,
};
use serde_json::{Value, json};

use super::{
    aggregate::SessionAggregate,
    configuration::pin_configuration,
    runs::add_run,
    tokens::{MintedToken, TokenRequest, identity_in_use},
};
use crate::{
    Code, Error, Result, Service, UnitOfWork,
    audit::Event,
    compute::ComputePermit,
    jobs::queue,
    telephony::calls::{self, OutboundCall},
};

/// Longest lifetime of a token: a participant who was invited earlier can no longer join.
const MAX_TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Rejects a session that participants cannot join in its current state.
pub fn require_joinable(session: &Session) -> Result<()> {
    let state = session.state;
    if state.is_active() {
        return Ok(());
    }
    let detail = format!("The session is `{state}`; it must be `starting` or `running`.");
    Err(Error::new(Code::SessionNotJoinable, detail))
}

/// Rejects another participant if the room's limit is reached.
fn require_participant_capacity(service: &Service, aggregate: &SessionAggregate) -> Result<()> {
    require_joinable(&aggregate.session)?;
    let limit = service.settings.rooms.max_participants;
    let expected = aggregate.count_expected(service.clock.now() - MAX_TOKEN_LIFETIME);
    if u32::try_from(expected).is_ok_and(|expected| expected < limit) {
        return Ok(());
    }
    let detail = format!("At most {limit} participants are allowed, agents included.");
    Err(Error::new(Code::TooManyParticipants, detail))
}

fn attached_event(session: SessionId, after: &Value) -> Event {
    Event::new("attached", "session", session, None::<&()>, Some(after))
}

/// Attaches a further agent: records its run, which the session's job dispatches.
pub async fn attach_agent(
    service: &Service,
    (unit, permit): (&mut UnitOfWork, &ComputePermit),
    id: SessionId,
    (agent, binding, variables): (AgentId, Option<BindingId>, &Variables),
) -> Result<AgentRun> {
    // The agent's row is always locked before the session's, to avoid deadlocks.
    let pinned = pin_configuration(service, unit, permit, (agent, binding), variables).await?;
    let mut aggregate = SessionAggregate::require(unit, id).await?;
    require_participant_capacity(service, &aggregate)?;
    let run = add_run(service, &mut aggregate, (1, Some(pinned)));
    queue::enqueue_session(service, unit, id).await?;
    aggregate.save(unit).await?;
    let after = json!({ "type": "agent", "agent_id": agent, "agent_run_id": run.id });
    unit.audit(attached_event(id, &after)).await?;
    Ok(run)
}

/// Attaches a phone by an outbound call, which the session's job dials.
pub async fn attach_phone(
    service: &Service,
    unit: &mut UnitOfWork,
    id: SessionId,
    call: OutboundCall,
) -> Result<Call> {
    let mut aggregate = SessionAggregate::require(unit, id).await?;
    require_participant_capacity(service, &aggregate)?;
    let call = calls::attach(service, unit, &mut aggregate, call).await?;
    aggregate.save(unit).await?;
    let after = json!({ "type": "phone", "call_id": call.id });
    unit.audit(attached_event(id, &after)).await?;
    Ok(call)
}

/// Invites a user, who joins with the returned token.
pub async fn attach_user(
    service: &Service,
    unit: &mut UnitOfWork,
    id: SessionId,
    request: TokenRequest,
) -> Result<(Participant, MintedToken)> {
    let mut aggregate = SessionAggregate::require(unit, id).await?;
    let invitee = request.resolve(service, unit).await?;
    require_participant_capacity(service, &aggregate)?;
    let is_present = |p: &Participant| {
        p.identity == invitee.identity && p.joined_at.is_some() && p.left_at.is_none()
    };
    if aggregate.participants.iter().any(is_present) {
        return Err(identity_in_use());
    }
    let participant = aggregate
        .invite(invitee.identity.clone(), invitee.name.clone())
        .clone();
    let token = invitee.mint(service, &aggregate.session)?;
    aggregate.save(unit).await?;
    unit.audit(invitee.audit_event("attached", &token, id))
        .await?;
    Ok((participant, token))
}
