//! Attaching somebody to a live session: a further agent, a person, a telephone.

use chrono::TimeDelta;
use patchbay_domain::{AgentId, BindingId, SessionId, prompt::Variables, session::SessionState};
use patchbay_persistence::{
    calls::Call, participants::Participant, runs::AgentRun, sessions::Session,
};
use serde_json::{Value, json};

use super::{
    aggregate::SessionAggregate,
    configuration::pin,
    runs::add_run,
    tokens::{MintedToken, TokenRequest, identity_in_use},
};
use crate::{
    Code, Error, Result, Service, UnitOfWork,
    audit::Event,
    compute::Turn,
    jobs::queue,
    telephony::calls::{self, OutboundCall},
};

/// The longest that a token is good for: one who was invited earlier will not come any more.
const INVITED: TimeDelta = TimeDelta::hours(1);

/// Refuses a session that nobody may join now.
pub fn require_joinable(session: &Session) -> Result<()> {
    match session.state {
        SessionState::Starting | SessionState::Running => Ok(()),
        state => {
            let name = state.as_str();
            let detail = format!("It is `{name}`; `starting` or `running` is needed.");
            Err(Error::new(Code::SessionNotJoinable, detail))
        }
    }
}

/// Refuses one more participant where there are too many.
fn require_place(service: &Service, aggregate: &SessionAggregate) -> Result<()> {
    require_joinable(&aggregate.session)?;
    let most = service.settings.rooms.max_participants;
    let expected = aggregate.expected(service.clock.now() - INVITED);
    if u32::try_from(expected).is_ok_and(|expected| expected < most) {
        return Ok(());
    }
    let detail = format!("At most {most} participants are allowed, agents included.");
    Err(Error::new(Code::TooManyParticipants, detail))
}

fn attached(session: SessionId, after: &Value) -> Event {
    Event::of("attached", "session", session, None::<&()>, Some(after))
}

/// Attaches a further agent: its run is recorded, and the session's job dispatches it.
pub async fn attach_agent(
    service: &Service,
    (unit, turn): (&mut UnitOfWork, &Turn),
    id: SessionId,
    (agent, binding, variables): (AgentId, Option<BindingId>, &Variables),
) -> Result<AgentRun> {
    // The agent's row is locked before the session's, as everywhere.
    let pinned = pin(service, unit, turn, (agent, binding), variables).await?;
    let mut aggregate = SessionAggregate::require(unit, id).await?;
    require_place(service, &aggregate)?;
    let run = add_run(service, unit, &mut aggregate, (1, Some(pinned))).await?;
    queue::session(service, unit, id).await?;
    aggregate.save(unit).await?;
    let after = json!({ "type": "agent", "agent_id": agent, "agent_run_id": run.id });
    unit.audit(attached(id, &after)).await?;
    Ok(run)
}

/// Attaches a telephone, which is dialled at once.
pub async fn attach_phone(
    service: &Service,
    unit: &mut UnitOfWork,
    id: SessionId,
    call: OutboundCall,
) -> Result<Call> {
    let mut aggregate = SessionAggregate::require(unit, id).await?;
    require_place(service, &aggregate)?;
    let call = calls::attach(service, unit, &mut aggregate, call).await?;
    aggregate.save(unit).await?;
    let after = json!({ "type": "phone", "call_id": call.id });
    unit.audit(attached(id, &after)).await?;
    Ok(call)
}

/// Attaches a person, who joins with the token.
pub async fn attach_user(
    service: &Service,
    unit: &mut UnitOfWork,
    id: SessionId,
    request: TokenRequest,
) -> Result<(Participant, MintedToken)> {
    let mut aggregate = SessionAggregate::require(unit, id).await?;
    let invitee = request.resolve(service, unit).await?;
    require_place(service, &aggregate)?;
    let is_here = |p: &Participant| {
        p.identity == invitee.identity && p.joined_at.is_some() && p.left_at.is_none()
    };
    if aggregate.participants.iter().any(is_here) {
        return Err(identity_in_use());
    }
    let invited = aggregate.invite(invitee.identity.clone(), invitee.name.clone());
    let participant = invited.clone();
    let token = invitee.mint(service, &aggregate.session)?;
    aggregate.save(unit).await?;
    unit.audit(invitee.event("attached", &token, id)).await?;
    Ok((participant, token))
}
