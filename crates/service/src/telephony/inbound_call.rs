//! Creation of the session and the call of an inbound call.

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
    answering::{AnsweringAgent, RING_SECONDS, select_agent},
    caller::CallerInRoom,
    limits::{self, max_call_seconds},
};
use crate::{
    Error, Result, Service, UnitOfWork,
    compute::ComputePermit,
    jobs::queue,
    sessions::{
        aggregate::SessionAggregate,
        create::{self, CallDurations, ExistingRoom, NewSession},
        runs::add_run,
        start,
    },
    stored,
};

/// Ids of a claimed inbound call.
pub struct ClaimedCall {
    /// The session.
    pub session_id: SessionId,
    /// The run of the agent that LiveKit has dispatched.
    pub agent_run_id: AgentRunId,
    /// The call.
    pub call_id: CallId,
}

/// Who claims a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimant {
    /// The worker, which has taken LiveKit's dispatch.
    Worker,
    /// A webhook, which does not know whether a worker has.
    Webhook,
}

/// Records the call with its session, unless that has been done; returns their ids in either case.
pub(super) async fn record_call(
    service: &Service,
    (unit, permit): (&mut UnitOfWork, ComputePermit),
    (mapping, claimant): (MappingId, Claimant),
    caller: CallerInRoom,
) -> Result<ClaimedCall> {
    // The lock serialises claims of the same room.
    let found = inbound_mappings::lock(unit, mapping).await?;
    let (mapping, _) = found.ok_or_else(Error::not_found)?;
    let rooms = webhook_events::find_rooms(unit, std::slice::from_ref(&caller.room.name)).await?;
    if let Some(room) = rooms.into_iter().next() {
        let aggregate = SessionAggregate::load(unit, room.session_id).await?;
        let mut aggregate = aggregate.ok_or_else(Error::not_found)?;
        let claimed = claimed_ids(&aggregate)?;
        record_claimant(service, &mut aggregate, claimed.agent_run_id, claimant);
        aggregate.save(unit).await?;
        return Ok(claimed);
    }
    let tenant = tenants::find(unit).await?;
    if tenant.is_none_or(|tenant| tenant.status != TenantStatus::Active) {
        return Err(Error::tenant_suspended());
    }
    let now = service.clock.now();
    let answering = select_agent(&mapping, now)?;
    let mut aggregate =
        start_session(service, (unit, permit), &mapping, &answering, &caller).await?;
    let ring = i32::try_from(RING_SECONDS).unwrap_or(i32::MAX);
    let longest = aggregate.session.max_duration_seconds - ring;
    aggregate.add_call(inbound_call(service, &aggregate, &mapping, caller, longest));
    let claimed = claimed_ids(&aggregate)?;
    record_claimant(service, &mut aggregate, claimed.agent_run_id, claimant);
    let session = aggregate.session.id;
    aggregate.save(unit).await?;
    queue::enqueue_session(service, unit, session).await?;
    Ok(claimed)
}

/// A worker that claims a call has taken its dispatch, so that it is not dispatched again.
fn record_claimant(
    service: &Service,
    aggregate: &mut SessionAggregate,
    run: AgentRunId,
    claimant: Claimant,
) {
    if let (Claimant::Worker, Some(run)) = (claimant, aggregate.run(run)) {
        run.taken_at.get_or_insert(service.clock.now());
    }
}

/// Creates the session as starting: LiveKit has its room and has dispatched the agent already.
async fn start_session(
    service: &Service,
    (unit, permit): (&mut UnitOfWork, ComputePermit),
    mapping: &Mapping,
    answering: &AnsweringAgent,
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
        call: Some(CallDurations {
            ring: RING_SECONDS,
            max: None,
            cap: max_call_seconds(&of_calls),
        }),
        room: Some(ExistingRoom {
            name: caller.room.name.clone(),
            sid: caller.room.sid.clone(),
        }),
        permit,
    };
    let session = create::create(service, unit, new).await?;
    let aggregate = SessionAggregate::load(unit, session.id).await?;
    let mut aggregate =
        aggregate.ok_or_else(|| Error::internal("the created session is missing"))?;
    // Checked last, because the checks of a tenant's calls wait for each other until the transaction ends.
    limits::require_capacity(service, unit).await?;
    start::require_capacity(service, unit).await?;
    aggregate.enter(SessionState::Starting, None);
    let now = service.clock.now();
    aggregate.session.dispatched_at = Some(now);
    let run = add_run(service, &mut aggregate, (1, None));
    if let Some(run) = aggregate.run(run.id) {
        run.state = RunState::Dispatched;
        run.dispatches = 1;
        (run.dispatched_at, run.last_dispatched_at) = (Some(now), Some(now));
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
        from_number: attribute("sip.phoneNumber")
            .and_then(|from| caller_number(&from, &mapping.number)),
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

/// Returns the caller number: in E.164 if it is a number, otherwise as the carrier sends it, at most 64
/// characters; `None` if the caller withholds it.
fn caller_number(caller: &str, called: &str) -> Option<String> {
    const WITHHELD: [&str; 4] = ["anonymous", "restricted", "unavailable", "unknown"];
    let called: PhoneNumber = called.parse().ok()?;
    if let Some(number) = PhoneNumber::of_caller(caller, &called) {
        return Some(number.to_string());
    }
    let is_withheld = WITHHELD.contains(&&*caller.to_ascii_lowercase());
    let printable = caller.chars().filter(|c| !is_unprintable(*c));
    (!is_withheld).then(|| printable.take(64).collect())
}

/// The ids of a claimed call.
fn claimed_ids(aggregate: &SessionAggregate) -> Result<ClaimedCall> {
    let incomplete = || Error::internal("an inbound call without its run");
    let call = aggregate.calls.iter().find(|call| call.is_primary);
    let run = aggregate.runs.iter().find(|run| run.is_primary);
    Ok(ClaimedCall {
        session_id: aggregate.session.id,
        agent_run_id: run.ok_or_else(incomplete)?.id,
        call_id: call.ok_or_else(incomplete)?.id,
    })
}
