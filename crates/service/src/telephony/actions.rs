//! What can be done to a call that was answered: transfer it, and send keys.

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

/// The method that the worker offers for keys.
const DTMF: &str = "patchbay.dtmf";
/// How long the worker takes for one key at most.
const PER_KEY: Duration = Duration::from_millis(500);
/// How long the worker waits for the telephone to hear the agent, and the way there and back.
const BEFORE_KEYS: Duration = Duration::from_secs(4);

/// Where the telephone is, and who speaks with it.
pub struct Target {
    /// The call.
    pub call: CallId,
    room: String,
    telephone: String,
    agent: Option<String>,
    /// Whether keys would be heard by other telephones too.
    has_others: bool,
}

/// Why it was not done.
pub struct Refusal {
    /// Status that the carrier refused it with.
    pub sip_status: Option<u16>,
    /// Words of the carrier, of LiveKit or of the worker.
    pub detail: String,
}

/// What came of it.
pub type ActionOutcome = std::result::Result<(), Refusal>;

/// Longest time that the worker takes to send these keys.
pub fn longest_dtmf(digits: &str) -> Result<Duration> {
    let known = |c: char| c.is_ascii_digit() || "*#ABCDw".contains(c);
    if !digits.chars().all(known) {
        let words = "0 to 9, `*`, `#`, A to D and `w` are keys";
        let invalid = Invalid::new("invalid_digits", words);
        return Err(Error::invalid_at("/digits", invalid));
    }
    let count = u32::try_from(digits.len()).unwrap_or(u32::MAX);
    Ok(BEFORE_KEYS + PER_KEY * count)
}

/// An answered call, with what is about to be done to it in the audit trail. Until `held`, what is seen of
/// its end waits for the outcome, which says more.
pub async fn prepare(
    unit: &mut UnitOfWork,
    id: CallId,
    (action, held): (&str, Option<DateTime<Utc>>),
) -> Result<Change<Target>> {
    let (call, mut aggregate) = load(unit, id).await?;
    let is_live = aggregate.session.state.is_live();
    unit.origin().require_live_if_suspended(is_live)?;
    if call.state != CallState::Answered {
        let detail = format!("It is `{}`; `answered` is needed.", call.state.as_str());
        return Err(Error::new(Code::CallNotAnswered, detail));
    }
    let event = Event::of(action, "call", id, None::<&()>, None::<&()>);
    let target = target(id, call.identity.clone(), &aggregate);
    if held.is_some() {
        aggregate.note_call(id, |call| call.awaited_until = held);
        save(unit, aggregate, call).await?;
    }
    Ok(Change::one(target, event))
}

fn target(call: CallId, telephone: String, aggregate: &SessionAggregate) -> Target {
    let speaks = |run: &&AgentRun| run.is_primary && run.state == RunState::Joined;
    let run = aggregate.runs.iter().find(speaks);
    let mut others = aggregate.calls.iter().filter(|other| other.id != call);
    Target {
        call,
        agent: run.and_then(|run| run.participant_identity.clone()),
        room: aggregate.session.room_name.clone(),
        telephone,
        has_others: others.any(|other| other.state.is_live()),
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

/// Records how it went; answers the call as it is now. A call that was transferred is over: `over` is its
/// event.
pub async fn finish(
    service: &Service,
    unit: &mut UnitOfWork,
    id: CallId,
    outcome: &ActionOutcome,
    over: Option<CallEvent>,
) -> Result<Call> {
    let (call, mut aggregate) = load(unit, id).await?;
    if let Some(over) = over {
        // Refused, it is as it was, or has ended otherwise meanwhile.
        let event = outcome.as_ref().map_or(CallEvent::Abandoned, |()| over);
        aggregate.apply_to_call(id, &event, service.clock.now());
        queue::session(service, unit, aggregate.session.id).await?;
    }
    save(unit, aggregate, call).await
}

/// Reads whom the call goes to, and checks that it may.
pub async fn check_transfer(
    service: &Service,
    tenant: TenantId,
    call: &Call,
    to: &str,
) -> Result<TransferTarget> {
    let wrong = |invalid: Invalid| Error::invalid_at("/to", invalid);
    let target: TransferTarget = to.parse().map_err(wrong)?;
    let mut tx = service.db.begin(tenant).await?;
    let (limits, _) = limits_of(service, &mut tx).await?;
    tx.finish();
    let ours = match call.direction {
        Direction::Outbound => call.from_number.as_deref(),
        Direction::Inbound => call.to_number.as_deref(),
    };
    let home: Option<PhoneNumber> = ours.and_then(|number| number.parse().ok());
    let target = limits.admit(target, home.as_ref()).map_err(wrong)?;
    if let TransferTarget::Sip { address, .. } = &target {
        let checked = service.outbound.check_host(&address.host).await;
        checked.map_err(|error| wrong(Invalid::new("address_refused", error.to_string())))?;
    }
    Ok(target)
}

/// Has the call transferred.
pub async fn transfer(
    service: &Service,
    target: &Target,
    to: &str,
    ring: Duration,
) -> ActionOutcome {
    let at = (&*target.room, &*target.telephone);
    Ok(service.livekit.transfer(at, to, ring).await?)
}

/// Has the agent send the keys.
pub async fn send_dtmf(
    service: &Service,
    target: &Target,
    digits: &str,
    longest: Duration,
) -> ActionOutcome {
    let refused = |why: &str| Refusal {
        sip_status: None,
        detail: why.to_owned(),
    };
    if target.has_others {
        return Err(refused(
            "another telephone in the room would hear the keys too",
        ));
    }
    let agent = target.agent.as_deref();
    let agent = agent.ok_or_else(|| refused("no agent has joined yet"))?;
    let payload = json!({ "digits": digits }).to_string();
    let at = (&*target.room, agent);
    let answer = service.livekit.perform_rpc(at, DTMF, &payload, longest);
    answer.await?;
    Ok(())
}
