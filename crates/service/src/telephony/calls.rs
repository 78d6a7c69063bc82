//! Outbound calls: creation, and start within the tenant's limits.

use patchbay_domain::{
    AgentId, BindingId, CallId, Dialled, Invalid, PhoneNumber, TrunkId,
    call::{AnswerDetection, CallEvent, CallState, Direction},
    limits::{CallLimits, TenantLimits},
};
use patchbay_persistence::{
    TenantTx, Window, bindings,
    calls::{self, Call},
    sessions::Session,
    sip_trunks::{self, SipTrunk},
};

use super::limits::{limits_of, max_call_seconds, require_capacity};
use crate::{
    Code, Error, Result, Service, UnitOfWork,
    jobs::queue,
    sessions::{
        aggregate::SessionAggregate,
        create::{self, CallDurations, NewSession},
    },
};

/// Parameters of an outbound call.
pub struct OutboundCall {
    /// Number or SIP address to call.
    pub to: Dialled,
    /// JSON pointer to `to` in the request body.
    pub to_pointer: &'static str,
    /// Caller number; the trunk's first number by default.
    pub from: Option<PhoneNumber>,
    /// The trunk; by default the tenant's only one, or the only one with the caller number.
    pub trunk_id: Option<TrunkId>,
    /// Ring timeout in seconds.
    pub ring_timeout_seconds: u32,
    /// Maximum duration in seconds, from the answer on.
    pub max_duration_seconds: Option<u32>,
    /// What the worker does if an answering machine picks up.
    pub answer_detection: AnswerDetection,
}

/// Checks a call against the tenant's limits.
fn check(call: &OutboundCall, limits: &TenantLimits, of_calls: &CallLimits) -> Result<()> {
    if let Err(invalid) = limits.check_number(&call.to) {
        return Err(Error::invalid_at(call.to_pointer, invalid));
    }
    match call.max_duration_seconds {
        Some(longest) if longest > max_call_seconds(of_calls) => {
            let message = format!("at most {} seconds are allowed", of_calls.seconds);
            let invalid = Invalid::new("too_long", message);
            Err(Error::invalid_at("/max_duration_seconds", invalid))
        }
        _ => Ok(()),
    }
}

/// Returns the requested trunk, or else the only one that has the caller number.
async fn choose_trunk(tx: &mut TenantTx, call: &OutboundCall) -> Result<SipTrunk> {
    if let Some(id) = call.trunk_id {
        let found = sip_trunks::find(tx, id).await?;
        let (trunk, _) = found.ok_or_else(|| Error::unknown_reference("/trunk_id"))?;
        return Ok(trunk);
    }
    let one = Window {
        limit: 1,
        before: None,
        count: false,
    };
    let from = call.from.as_ref().map(ToString::to_string);
    let mut found = sip_trunks::list(tx, one, from).await?;
    match (found.rows.pop(), found.more) {
        (Some((trunk, _)), false) => Ok(trunk),
        (None, _) if call.from.is_some() => Err(number_not_on_trunk()),
        (None, _) => {
            let detail = "Create a SIP trunk first.";
            Err(Error::new(Code::TelephonyNotConfigured, detail))
        }
        _ => {
            let message =
                "the tenant has several trunks: give the trunk, or a caller number of only one";
            let invalid = Invalid::new("missing_field", message);
            Err(Error::invalid_at("/trunk_id", invalid))
        }
    }
}

fn number_not_on_trunk() -> Error {
    let message = "none of the trunks has this number";
    Error::invalid_at("/from", Invalid::new("number_not_on_trunk", message))
}

/// Stores a session with its primary call.
pub async fn create(
    service: &Service,
    unit: &mut UnitOfWork,
    new: NewSession,
    call: OutboundCall,
) -> Result<(Session, Call)> {
    let (limits, of_calls) = limits_of(service, unit).await?;
    check(&call, &limits, &of_calls)?;
    let trunk = choose_trunk(unit, &call).await?;
    let times = CallDurations {
        ring: call.ring_timeout_seconds,
        max: call.max_duration_seconds,
        cap: max_call_seconds(&of_calls),
    };
    let new = NewSession {
        call: Some(times),
        ..new
    };
    let session = create::create(service, unit, new).await?;
    let longest =
        session.max_duration_seconds - i32::try_from(call.ring_timeout_seconds).unwrap_or_default();
    let call = outbound(service, &session, (trunk, call), longest, true)?;
    calls::insert(unit, &call).await?;
    Ok((session, call))
}

/// Adds a call to a live session and starts it.
pub async fn attach(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
    call: OutboundCall,
) -> Result<Call> {
    let (limits, of_calls) = limits_of(service, tx).await?;
    check(&call, &limits, &of_calls)?;
    let trunk = choose_trunk(tx, &call).await?;
    let longest = call
        .max_duration_seconds
        .unwrap_or(u32::MAX)
        .min(max_call_seconds(&of_calls));
    let longest = i32::try_from(longest).unwrap_or(i32::MAX);
    let longest = longest.min(aggregate.session.max_duration_seconds);
    let call = outbound(service, &aggregate.session, (trunk, call), longest, false)?;
    let id = call.id;
    aggregate.add_call(call);
    start_call(service, tx, aggregate, id).await?;
    queue::enqueue_session(service, tx, aggregate.session.id).await?;
    let call = aggregate.call(id).cloned();
    call.ok_or_else(|| Error::internal("the added call is missing"))
}

fn outbound(
    service: &Service,
    session: &Session,
    (trunk, call): (SipTrunk, OutboundCall),
    longest: i32,
    is_primary: bool,
) -> Result<Call> {
    let id: CallId = service.clock.new_id();
    let from = match call.from {
        Some(from) if !trunk.numbers.iter().any(|number| **number == *from) => {
            return Err(number_not_on_trunk());
        }
        Some(from) => Some(from.to_string()),
        None => trunk.numbers.first().cloned(),
    };
    Ok(Call {
        tenant_id: session.tenant_id,
        id,
        session_id: session.id,
        agent_id: session.agent_id,
        direction: Direction::Outbound,
        is_primary,
        state: CallState::Created,
        reason: None,
        hangup_by: None,
        sip_status: None,
        detail: None,
        from_number: from,
        to_number: Some(call.to.to_string()),
        trunk_id: Some(trunk.id),
        mapping_id: None,
        identity: format!("sip_{id}"),
        sip_call_id: None,
        ring_timeout_seconds: i32::try_from(call.ring_timeout_seconds).unwrap_or(i32::MAX),
        max_duration_seconds: longest,
        answer_detection: call.answer_detection,
        revision: 1,
        created_at: service.clock.now(),
        dialing_at: None,
        sent_at: None,
        awaited_until: None,
        ringing_at: None,
        answered_at: None,
        ended_at: None,
        left_reason: None,
        missing_since: None,
    })
}

/// Starts the primary call of a session, if it has one that has not been started.
pub async fn start_primary(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
) -> Result<()> {
    let waiting = |call: &&Call| call.is_primary && call.state == CallState::Created;
    match aggregate.calls.iter().find(waiting).map(|call| call.id) {
        Some(id) => start_call(service, tx, aggregate, id).await,
        None => Ok(()),
    }
}

/// Starts a call. The limits are checked again because they may have changed since it was created.
async fn start_call(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
    id: CallId,
) -> Result<()> {
    let (limits, of_calls) = require_capacity(service, tx).await?;
    let to = aggregate.call(id).and_then(|call| call.to_number.clone());
    if let Some(number) = to {
        let checked = number
            .parse()
            .and_then(|to: Dialled| limits.check_number(&to));
        checked.map_err(|invalid| Error::invalid_at("/to", invalid))?;
    }
    let cap = i32::try_from(max_call_seconds(&of_calls)).unwrap_or(i32::MAX);
    aggregate.update_call(id, |call| {
        call.max_duration_seconds = call.max_duration_seconds.min(cap);
    });
    aggregate.apply_to_call(id, &CallEvent::Started, service.clock.now());
    Ok(())
}

/// Loads a call and its session, and locks the session.
pub async fn load(unit: &mut UnitOfWork, id: CallId) -> Result<(Call, SessionAggregate)> {
    let call = calls::find(unit, id).await?;
    let call = call.ok_or_else(Error::not_found)?;
    let aggregate = SessionAggregate::load(unit, call.session_id).await?;
    // Calls are kept when their session is erased, which only happens after its end.
    let aggregate = aggregate
        .ok_or_else(|| Error::new(Code::CallOver, "The session of the call was erased."))?;
    // The call may have changed before the session was locked.
    let current = aggregate.call(id).cloned();
    Ok((current.unwrap_or(call), aggregate))
}

/// Stores the session and returns the updated call.
pub async fn save(unit: &mut UnitOfWork, aggregate: SessionAggregate, call: Call) -> Result<Call> {
    let current = aggregate.call(call.id).cloned();
    aggregate.save(unit).await?;
    Ok(current.unwrap_or(call))
}

/// Returns the given agent, or the agent of the given binding.
pub async fn agent_of(
    tx: &mut TenantTx,
    agent: Option<AgentId>,
    binding: Option<BindingId>,
) -> Result<AgentId> {
    match (agent, binding) {
        (Some(agent), _) => Ok(agent),
        (None, Some(binding)) => {
            let found = bindings::agent_of(tx, binding).await?;
            found.ok_or_else(|| Error::unknown_reference("/binding_id"))
        }
        (None, None) => {
            let invalid = Invalid::new("missing_field", "an agent or a binding is needed");
            Err(Error::invalid_at("/agent_id", invalid))
        }
    }
}
