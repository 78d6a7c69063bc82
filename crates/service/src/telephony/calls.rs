//! Calls out: created with their session, started within the tenant's limits.

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

use super::limits::{limits_of, longest_call, require_capacity};
use crate::{
    Code, Error, Result, Service, UnitOfWork,
    jobs::queue,
    sessions::{
        aggregate::SessionAggregate,
        create::{self, CallTimes, NewSession},
    },
};

/// A call to be made.
pub struct OutboundCall {
    /// Whom to call.
    pub to: Dialled,
    /// Where the body says so, as a JSON pointer.
    pub to_pointer: &'static str,
    /// What to show as the origin; the trunk's first number by default.
    pub from: Option<PhoneNumber>,
    /// The trunk; the one there is by default.
    pub trunk_id: Option<TrunkId>,
    /// How long it may ring, in seconds.
    pub ring: u32,
    /// How long it may last, in seconds from the answer on.
    pub longest: Option<u32>,
    /// What the worker does when a machine answers.
    pub detection: AnswerDetection,
}

/// Refuses what the tenant's telephone may not do.
fn check(call: &OutboundCall, limits: &TenantLimits, of_calls: &CallLimits) -> Result<()> {
    if let Err(invalid) = limits.check_number(&call.to) {
        return Err(Error::invalid_at(call.to_pointer, invalid));
    }
    match call.longest {
        Some(longest) if longest > longest_call(of_calls) => {
            let message = format!("at most {} seconds are allowed", of_calls.seconds);
            let invalid = Invalid::new("too_long", message);
            Err(Error::invalid_at("/max_duration_seconds", invalid))
        }
        _ => Ok(()),
    }
}

/// The trunk that is named, or the only one that will do.
async fn choose_trunk(tx: &mut TenantTx, call: &OutboundCall) -> Result<SipTrunk> {
    if let Some(id) = call.trunk_id {
        let found = sip_trunks::find(tx, id).await?;
        return Ok(found.ok_or_else(Error::not_found)?.0);
    }
    let one = Window {
        limit: 1,
        before: None,
    };
    let from = call.from.as_ref().map(ToString::to_string);
    let mut found = sip_trunks::list(tx, one, from).await?;
    match (found.rows.pop(), found.more) {
        (Some((trunk, _)), false) => Ok(trunk),
        (None, _) if call.from.is_some() => Err(foreign_number()),
        (None, _) => {
            let detail = "Create a SIP trunk first.";
            Err(Error::new(Code::TelephonyNotConfigured, detail))
        }
        _ => {
            let message = "there are several trunks: name one, or a number that only one has";
            let invalid = Invalid::new("missing_field", message);
            Err(Error::invalid_at("/trunk_id", invalid))
        }
    }
}

fn foreign_number() -> Error {
    let message = "no trunk of yours has this number";
    Error::invalid_at("/from", Invalid::new("number_not_on_trunk", message))
}

/// Stores a session and the call it is made for.
pub async fn create(
    service: &Service,
    unit: &mut UnitOfWork,
    new: NewSession,
    call: OutboundCall,
) -> Result<(Session, Call)> {
    let (limits, of_calls) = limits_of(service, unit).await?;
    check(&call, &limits, &of_calls)?;
    let trunk = choose_trunk(unit, &call).await?;
    let times = CallTimes {
        ring: call.ring,
        longest: call.longest,
        cap: longest_call(&of_calls),
    };
    let new = NewSession {
        call: Some(times),
        ..new
    };
    let session = create::create(service, unit, new).await?;
    let longest = session.max_duration_seconds - i32::try_from(call.ring).unwrap_or_default();
    let call = outbound(service, &session, (trunk, call), longest, true)?;
    calls::insert(unit, &call).await?;
    Ok((session, call))
}

/// A call of a live session to somebody further, started at once.
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
        .longest
        .unwrap_or(u32::MAX)
        .min(longest_call(&of_calls));
    let longest = i32::try_from(longest).unwrap_or(i32::MAX);
    let longest = longest.min(aggregate.session.max_duration_seconds);
    let call = outbound(service, &aggregate.session, (trunk, call), longest, false)?;
    let id = call.id;
    aggregate.add_call(call);
    start_call(service, tx, aggregate, id).await?;
    queue::session(service, tx, aggregate.session.id).await?;
    let call = aggregate.call(id).cloned();
    call.ok_or_else(|| Error::internal("a call that was just added"))
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
        Some(from) if !trunk.numbers.iter().any(|known| **known == *from) => {
            return Err(foreign_number());
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
        ring_timeout_seconds: i32::try_from(call.ring).unwrap_or(i32::MAX),
        max_duration_seconds: longest,
        answer_detection: call.detection,
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

/// Starts the call that a session was made for, if there is one.
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

/// What was allowed when the call was created may not be any more.
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
    let most = i32::try_from(longest_call(&of_calls)).unwrap_or(i32::MAX);
    aggregate.note_call(id, |call| {
        call.max_duration_seconds = call.max_duration_seconds.min(most);
    });
    aggregate.apply_to_call(id, &CallEvent::Started, service.clock.now());
    Ok(())
}

/// A call with its session, locked.
pub async fn load(unit: &mut UnitOfWork, id: CallId) -> Result<(Call, SessionAggregate)> {
    let call = calls::find(unit, id).await?;
    let call = call.ok_or_else(Error::not_found)?;
    let aggregate = SessionAggregate::load(unit, call.session_id).await?;
    // Calls outlive their session, which is erased when it is over.
    let aggregate =
        aggregate.ok_or_else(|| Error::new(Code::CallOver, "Its session is erased."))?;
    // It may have changed before the lock was there.
    let current = aggregate.call(id).cloned();
    Ok((current.unwrap_or(call), aggregate))
}

/// Stores the session; answers the call as it is now.
pub async fn save(unit: &mut UnitOfWork, aggregate: SessionAggregate, call: Call) -> Result<Call> {
    let current = aggregate.call(call.id).cloned();
    aggregate.save(unit).await?;
    Ok(current.unwrap_or(call))
}

/// The agent that is named, or that has the binding that is named.
pub async fn agent_of(
    tx: &mut TenantTx,
    agent: Option<AgentId>,
    binding: Option<BindingId>,
) -> Result<AgentId> {
    match (agent, binding) {
        (Some(agent), _) => Ok(agent),
        (None, Some(binding)) => {
            let found = bindings::agent_of(tx, binding).await?;
            found.ok_or_else(Error::not_found)
        }
        (None, None) => {
            let invalid = Invalid::new("missing_field", "an agent or a binding is needed");
            Err(Error::invalid_at("/agent_id", invalid))
        }
    }
}
