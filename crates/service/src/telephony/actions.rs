//! Actions on an answered call: transfers and DTMF.

use std::time::Duration;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    CallId, Invalid, PhoneNumber, TenantId, TransferTarget,
    call::{CallEvent, CallState, Direction},
    session::RunState,
};
use patchbay_livekit::Error as LiveKitError;
use patchbay_persistence::{calls::Call, runs::AgentRun};
use serde_json::json;

use super::{
    calls::{load, save},
    limits::limits_of,
};
use crate::{
    Code, Error, Result, Service, UnitOfWork,
    audit::{Change, Event},
    jobs::queue,
    sessions::aggregate::SessionAggregate,
};

/// RPC method of the worker that sends DTMF tones.
const DTMF_METHOD: &str = "patchbay.dtmf";
/// Maximum time for one tone.
const TONE_TIMEOUT: Duration = Duration::from_millis(500);
/// Maximum time until the first tone: the RPC round trip, and the worker's wait until the SIP participant is
/// subscribed to the agent's audio.
const DTMF_SETUP_TIMEOUT: Duration = Duration::from_secs(4);

/// The call that an action applies to, with its room and participants.
pub struct Target {
    /// The call.
    pub call: CallId,
    room: String,
    identity: String,
    agent_identity: Option<String>,
    /// Whether the session has other live calls, which would receive DTMF tones too.
    has_other_calls: bool,
}

/// Why an action failed.
pub struct Refusal {
    /// SIP status of the carrier's response.
    pub sip_status: Option<u16>,
    /// Message of the carrier, LiveKit or the worker.
    pub detail: String,
}

/// Outcome of an action.
pub type ActionOutcome = std::result::Result<(), Refusal>;

/// Checks the digits, and returns the maximum time to send them.
pub fn dtmf_timeout(digits: &str) -> Result<Duration> {
    let is_valid = |c: char| c.is_ascii_digit() || "*#ABCDw".contains(c);
    if !digits.chars().all(is_valid) {
        let message = "only 0 to 9, `*`, `#`, A to D and `w` are allowed";
        let invalid = Invalid::new("invalid_digits", message);
        return Err(Error::invalid_at("/digits", invalid));
    }
    let count = u32::try_from(digits.len()).unwrap_or(u32::MAX);
    Ok(DTMF_SETUP_TIMEOUT + TONE_TIMEOUT * count)
}

/// Loads an answered call and records the action in the audit log. Until `awaited_until`, the reconciler leaves
/// the end of the call to the outcome of the action, which is more precise.
pub async fn prepare(
    unit: &mut UnitOfWork,
    id: CallId,
    (action, awaited_until): (&str, Option<DateTime<Utc>>),
) -> Result<Change<Target>> {
    let (call, mut aggregate) = load(unit, id).await?;
    let is_live = aggregate.session.state.is_live();
    unit.origin().require_live_if_suspended(is_live)?;
    if call.state != CallState::Answered {
        let detail = format!(
            "The call is `{}`; it must be `answered`.",
            call.state.as_str()
        );
        return Err(Error::new(Code::CallNotAnswered, detail));
    }
    let event = Event::new(action, "call", id, None::<&()>, None::<&()>);
    let target = target(id, call.identity.clone(), &aggregate);
    if awaited_until.is_some() {
        aggregate.update_call(id, |call| call.awaited_until = awaited_until);
        save(unit, aggregate, call).await?;
    }
    Ok(Change::one(target, event))
}

fn target(call: CallId, identity: String, aggregate: &SessionAggregate) -> Target {
    let is_agent = |run: &&AgentRun| run.is_primary && run.state == RunState::Joined;
    let run = aggregate.runs.iter().find(is_agent);
    let mut others = aggregate.calls.iter().filter(|other| other.id != call);
    Target {
        call,
        agent_identity: run.and_then(|run| run.participant_identity.clone()),
        room: aggregate.session.room_name.clone(),
        identity,
        has_other_calls: others.any(|other| other.state.is_live()),
    }
}

impl From<LiveKitError> for Refusal {
    fn from(error: LiveKitError) -> Self {
        let (sip_status, detail) = match error {
            LiveKitError::Refused { sip: Some(sip), .. } => (Some(sip.code), sip.words),
            LiveKitError::Refused { message, .. } => (None, message),
            error => (None, error.summary()),
        };
        Self { sip_status, detail }
    }
}

/// Completes an action and returns the updated call. `end` is the event that ends the call if the action
/// succeeded, as a transfer does.
pub async fn finish(
    service: &Service,
    unit: &mut UnitOfWork,
    id: CallId,
    outcome: &ActionOutcome,
    end: Option<CallEvent>,
) -> Result<Call> {
    let (call, mut aggregate) = load(unit, id).await?;
    if let Some(end) = end {
        // After a failed transfer the call goes on, or it ended for another reason in the meantime.
        let event = outcome.as_ref().map_or(CallEvent::Abandoned, |()| end);
        aggregate.apply_to_call(id, &event, service.clock.now());
        queue::enqueue_session(service, unit, aggregate.session.id).await?;
    }
    save(unit, aggregate, call).await
}

/// Parses the target of a transfer, and checks it against the tenant's limits and the address policy.
pub async fn check_transfer(
    service: &Service,
    tenant: TenantId,
    call: &Call,
    to: &str,
) -> Result<TransferTarget> {
    let invalid_target = |invalid: Invalid| Error::invalid_at("/to", invalid);
    let target: TransferTarget = to.parse().map_err(invalid_target)?;
    let mut tx = service.db.begin(tenant).await?;
    let (limits, _) = limits_of(service, &mut tx).await?;
    tx.finish();
    let own_number = match call.direction {
        Direction::Outbound => call.from_number.as_deref(),
        Direction::Inbound => call.to_number.as_deref(),
    };
    let home: Option<PhoneNumber> = own_number.and_then(|number| number.parse().ok());
    let target = limits
        .admit(target, home.as_ref())
        .map_err(invalid_target)?;
    if let TransferTarget::Sip { address, .. } = &target {
        let checked = service.outbound.check_host(&address.host).await;
        checked
            .map_err(|error| invalid_target(Invalid::new("address_refused", error.to_string())))?;
    }
    Ok(target)
}

/// Transfers the call.
pub async fn transfer(
    service: &Service,
    target: &Target,
    to: &str,
    ring: Duration,
) -> ActionOutcome {
    let at = (&*target.room, &*target.identity);
    Ok(service.livekit.transfer(at, to, ring).await?)
}

/// Sends DTMF tones through the agent.
pub async fn send_dtmf(
    service: &Service,
    target: &Target,
    digits: &str,
    timeout: Duration,
) -> ActionOutcome {
    let refused = |detail: &str| Refusal {
        sip_status: None,
        detail: detail.to_owned(),
    };
    if target.has_other_calls {
        return Err(refused(
            "another call in the room would receive the tones too",
        ));
    }
    let agent = target.agent_identity.as_deref();
    let agent = agent.ok_or_else(|| refused("no agent has joined yet"))?;
    let payload = json!({ "digits": digits }).to_string();
    let at = (&*target.room, agent);
    let request = service
        .livekit
        .perform_rpc(at, DTMF_METHOD, &payload, timeout);
    request.await?;
    Ok(())
}
