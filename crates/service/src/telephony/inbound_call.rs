//! The session and the call that a call in becomes.

use patchbay_domain::{
    AgentRunId, CallId, MappingId, Metadata, PhoneNumber, SessionId,
    call::{AnswerDetection, CallState, Direction},
    prompt::Variables,
    session::{RunState, SessionState},
    states::TenantStatus,
    text::is_unprintable,
};
use patchbay_persistence::{
    calls::Call,
    inbound_mappings::{self, Mapping},
    tenants, webhook_events,
};

use super::{
    answering::{Answering, RING_SECONDS, answering},
    caller::CallerInRoom,
    limits::{self, longest_call},
};
use crate::{
    Code, Error, Result, Service, UnitOfWork,
    compute::Turn,
    jobs::queue,
    sessions::{
        aggregate::SessionAggregate,
        create::{self, CallTimes, NewSession, RoomInLiveKit},
        runs::add_run,
        start,
    },
    stored,
};

/// What a call in has become.
pub struct Claimed {
    /// The session.
    pub session_id: SessionId,
    /// The run of the agent that LiveKit has sent.
    pub agent_run_id: AgentRunId,
    /// The call.
    pub call_id: CallId,
}

/// Records the call with its session, unless that has been done.
pub(super) async fn record_call(
    service: &Service,
    (unit, turn): (&mut UnitOfWork, Turn),
    mapping: MappingId,
    caller: CallerInRoom,
) -> Result<Claimed> {
    // Whoever claims the same room waits here.
    let found = inbound_mappings::lock(unit, mapping).await?;
    let (mapping, _) = found.ok_or_else(Error::not_found)?;
    let known = webhook_events::find_rooms(unit, std::slice::from_ref(&caller.room.name)).await?;
    if let Some(room) = known.into_iter().next() {
        let aggregate = SessionAggregate::load(unit, room.session_id).await?;
        return claimed(&aggregate.ok_or_else(Error::not_found)?);
    }
    let tenant = tenants::find(unit).await?;
    if tenant.is_none_or(|tenant| tenant.status != TenantStatus::Active) {
        let detail = "The operator has suspended this tenant.";
        return Err(Error::new(Code::TenantSuspended, detail));
    }
    let now = service.clock.now();
    let answering = answering(&mapping, now)?;
    limits::require_capacity(service, unit).await?;
    start::require_capacity(service, unit).await?;
    let mut aggregate = start_session(service, (unit, turn), &mapping, &answering, &caller).await?;
    let ring = i32::try_from(RING_SECONDS).unwrap_or(i32::MAX);
    let longest = aggregate.session.max_duration_seconds - ring;
    aggregate.add_call(inbound_call(service, &aggregate, &mapping, caller, longest));
    let claimed = claimed(&aggregate)?;
    let session = aggregate.session.id;
    aggregate.save(unit).await?;
    queue::session(service, unit, session).await?;
    Ok(claimed)
}

/// The session, in which LiveKit has everything already.
async fn start_session(
    service: &Service,
    (unit, turn): (&mut UnitOfWork, Turn),
    mapping: &Mapping,
    answering: &Answering,
    caller: &CallerInRoom,
) -> Result<SessionAggregate> {
    let (_, of_calls) = limits::limits_of(service, unit).await?;
    let variables: Variables = stored::raw(
        mapping.tenant_id,
        "inbound_mappings.variables",
        &mapping.variables,
    )?;
    let new = NewSession {
        agent_id: answering.agent_id,
        binding_id: None,
        variables,
        metadata: Metadata::default(),
        call: Some(CallTimes {
            ring: RING_SECONDS,
            longest: None,
            cap: longest_call(&of_calls),
        }),
        room: Some(RoomInLiveKit {
            name: caller.room.name.clone(),
            sid: caller.room.sid.clone(),
        }),
        turn,
    };
    let session = create::create(service, unit, new).await?;
    let aggregate = SessionAggregate::load(unit, session.id).await?;
    let mut aggregate = aggregate.ok_or_else(|| Error::internal("a session that was just made"))?;
    aggregate.session.room_sid = session.room_sid;
    aggregate.enter(SessionState::Starting, None);
    let now = service.clock.now();
    aggregate.session.dispatched_at = Some(now);
    let run = add_run(service, unit, &mut aggregate, (1, None)).await?;
    if let Some(run) = aggregate.run(run.id) {
        run.state = RunState::Dispatched;
        run.dispatched_at = Some(now);
    }
    Ok(aggregate)
}

fn inbound_call(
    service: &Service,
    aggregate: &SessionAggregate,
    mapping: &Mapping,
    caller: CallerInRoom,
    longest: i32,
) -> Call {
    let now = service.clock.now();
    let attribute = |name: &str| {
        caller
            .attributes
            .get(name)
            .filter(|v| !v.is_empty())
            .cloned()
    };
    Call {
        tenant_id: aggregate.session.tenant_id,
        id: service.clock.new_id(),
        session_id: aggregate.session.id,
        agent_id: aggregate.session.agent_id,
        direction: Direction::Inbound,
        is_primary: true,
        state: CallState::Ringing,
        reason: None,
        hangup_by: None,
        sip_status: None,
        detail: None,
        from_number: attribute("sip.phoneNumber").and_then(|from| shown(&from, &mapping.number)),
        to_number: Some(mapping.number.clone()),
        trunk_id: None,
        mapping_id: Some(mapping.id),
        sip_call_id: attribute("sip.callID"),
        identity: caller.identity,
        ring_timeout_seconds: i32::try_from(RING_SECONDS).unwrap_or(i32::MAX),
        max_duration_seconds: longest,
        answer_detection: AnswerDetection::Off,
        revision: 1,
        created_at: now,
        dialing_at: Some(now),
        sent_at: None,
        awaited_until: None,
        ringing_at: Some(now),
        answered_at: None,
        ended_at: None,
        left_reason: None,
        missing_since: None,
    }
}

/// Who calls: in E.164 where it is a number, and else as the carrier tells it; nobody who hides.
fn shown(caller: &str, called: &str) -> Option<String> {
    const HIDDEN: [&str; 4] = ["anonymous", "restricted", "unavailable", "unknown"];
    let called: PhoneNumber = called.parse().ok()?;
    if let Some(number) = PhoneNumber::of_caller(caller, &called) {
        return Some(number.to_string());
    }
    let hides = HIDDEN.contains(&&*caller.to_ascii_lowercase());
    let printable = caller.chars().filter(|c| !is_unprintable(*c));
    (!hides).then(|| printable.take(64).collect())
}

/// The ids of what a call in has become.
fn claimed(aggregate: &SessionAggregate) -> Result<Claimed> {
    let incomplete = || Error::internal("a call in without its run");
    let call = aggregate.calls.iter().find(|call| call.is_primary);
    let run = aggregate.runs.iter().find(|run| run.is_primary);
    Ok(Claimed {
        session_id: aggregate.session.id,
        agent_run_id: run.ok_or_else(incomplete)?.id,
        call_id: call.ok_or_else(incomplete)?.id,
    })
}
