//! What can be done to a call that was answered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    CallId, Invalid, PhoneNumber, TenantId, TransferTarget,
    call::{CallEvent, CallState, reason},
    session::RunState,
    text::{OneLine, Text},
};
use patchbay_livekit::Error as LiveKitError;
use patchbay_persistence::TenantTx;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    dto::{Call, ring},
    handlers::{locked_call, read, saved},
};
use crate::{
    answer::{Entity, Resource},
    audit::{Change, Event},
    error::{ApiError, Code, Result},
    extract::{Caller, IdempotencyKey, Json, Path, scopes::CallsAct},
    flows::{calls as flow, record::Record},
    once::{Once, Pending},
    panics::seen_through,
    timeline::CallStatus,
};

/// The method that the worker offers for keys.
const DTMF: &str = "patchbay.dtmf";
/// How long the worker takes for one key at most.
const KEY: Duration = Duration::from_millis(500);
/// How long the worker waits for the telephone to hear the agent, and the way there and back.
const BEFORE_KEYS: Duration = Duration::from_secs(4);

/// Whom the call goes to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "+49 30 654321"}))]
pub struct TransferCall {
    /// A number with its country code, a `tel:` URI, or `sip:user@host`. The host must be on the internet, or in a network that the
    /// operator allows. Where the operator allows or denies prefixes, the user must be a number too.
    to: OneLine<1, 320>,
    /// Seconds that it may ring there; 45 by default.
    #[schema(minimum = 5, maximum = 75)]
    ring_timeout_seconds: Option<u32>,
}

/// Which keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"digits": "1234#"}))]
pub struct SendDtmf {
    /// Keys of `0` to `9`, `*`, `#` and `A` to `D`; `w` waits half a second.
    digits: Text<1, 64>,
}

impl SendDtmf {
    /// How long the worker may take to press them.
    fn longest(&self) -> Result<Duration> {
        let known = |c: char| c.is_ascii_digit() || "*#ABCDw".contains(c);
        if !self.digits.chars().all(known) {
            let words = "0 to 9, `*`, `#`, A to D and `w` are keys";
            let invalid = Invalid::new("invalid_digits", words);
            return Err(ApiError::invalid_at("/digits", invalid));
        }
        let count = u32::try_from(self.digits.len()).unwrap_or(u32::MAX);
        Ok(BEFORE_KEYS + KEY * count)
    }
}

/// How it went.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "failed", "sip_status": 603, "detail": "Decline",
    "call": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0", "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
        "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "direction": "outbound", "is_primary": true, "state": "answered",
        "reason": null, "hangup_by": null, "sip_status": null, "detail": null, "from": "+4930123456", "to": "+4930654321",
        "trunk_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fa0", "mapping_id": null, "sip_call_id": "SCL_abc",
        "ring_timeout_seconds": 45, "max_duration_seconds": 600, "answer_detection": "off", "ring_seconds": 4.2,
        "talk_seconds": null, "revision": 4, "created_at": "2026-11-23T20:00:00Z", "dialing_at": "2026-11-23T20:00:00Z",
        "ringing_at": "2026-11-23T20:00:02Z", "answered_at": "2026-11-23T20:00:06Z", "ended_at": null
    }
}))]
pub struct CallAction {
    /// Whether it was done.
    status: CallStatus,
    /// Status that the carrier refused it with.
    #[schema(minimum = 300, maximum = 699)]
    sip_status: Option<u16>,
    /// Words of the carrier, of LiveKit or of the worker for what went wrong.
    #[schema(max_length = 1000)]
    detail: Option<String>,
    /// The call as it is now.
    call: Call,
}

impl Resource for CallAction {}

/// Where the telephone is, and who speaks with it.
struct Target {
    call: CallId,
    room: String,
    telephone: String,
    agent: Option<String>,
    /// Whether keys would be heard by other telephones too.
    has_others: bool,
}

/// An answered call, and that this was asked of it. Until `held`, what is told of its end waits for
/// the outcome, which says more.
async fn ask(
    caller: &Caller<CallsAct>,
    tx: &mut TenantTx,
    id: CallId,
    (what, held): (&str, Option<DateTime<Utc>>),
) -> Result<Change<Target>> {
    let (call, mut record) = locked_call(caller, tx, id).await?;
    caller.require_live_if_suspended(record.session.state.is_live())?;
    if call.state != CallState::Answered {
        let detail = format!("It is `{}`; `answered` is needed.", call.state.as_str());
        return Err(ApiError::new(Code::CallNotAnswered, detail));
    }
    let event = Event::of(what, "call", id, None::<&()>, None::<&()>);
    let target = target(id, call.identity.clone(), &record);
    if held.is_some() {
        record.note_call(id, |call| call.awaited_until = held);
        saved(caller, tx, record, call).await?;
    }
    Ok(Change::one(target, event))
}

fn target(call: CallId, telephone: String, record: &Record) -> Target {
    let speaks = |run: &&patchbay_persistence::runs::AgentRun| {
        run.is_primary && run.state == RunState::Joined
    };
    let run = record.runs.iter().find(speaks);
    let others = record.calls.iter().filter(|other| other.id != call);
    Target {
        call,
        agent: run.and_then(|run| run.participant_identity.clone()),
        room: record.session.room_name.clone(),
        telephone,
        has_others: others.into_iter().any(|other| other.state.is_live()),
    }
}

/// Why it was not done.
struct Refusal {
    sip_status: Option<u16>,
    detail: String,
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

/// Records how it went. A call that was handed over is over.
async fn finish(
    caller: &Caller<CallsAct>,
    tx: &mut TenantTx,
    id: CallId,
    outcome: std::result::Result<(), Refusal>,
    over: Option<CallEvent>,
) -> Result<Change<Entity<CallAction>>> {
    let (call, mut record) = locked_call(caller, tx, id).await?;
    if let Some(over) = over {
        // Refused, it is as it was, or has ended otherwise meanwhile.
        let event = outcome.as_ref().map_or(CallEvent::Abandoned, |()| over);
        record.tell_call(id, &event, caller.app.clock.now());
        crate::flows::sessions::enqueue(&caller.app, tx, record.session.id).await?;
    }
    let call = Call::from(saved(caller, tx, record, call).await?);
    let (status, sip_status, detail) = match outcome {
        Ok(()) => (CallStatus::Succeeded, None, None),
        Err(refusal) => (CallStatus::Failed, refusal.sip_status, Some(refusal.detail)),
    };
    Ok(Change::none(Entity(CallAction {
        status,
        sip_status,
        detail,
        call,
    })))
}

/// Reads whom the call goes to, and checks that it may.
async fn checked_target(
    caller: &Caller<CallsAct>,
    call: &Call,
    to: &str,
) -> Result<TransferTarget> {
    let wrong = |invalid: Invalid| ApiError::invalid_at("/to", invalid);
    let target: TransferTarget = to.parse().map_err(wrong)?;
    let mut tx = caller.read().await?;
    let (limits, _) = flow::limits(&caller.app, &mut tx).await?;
    tx.finish();
    let home: Option<PhoneNumber> = call.our_number().and_then(|number| number.parse().ok());
    let target = limits.admit(target, home.as_ref()).map_err(wrong)?;
    if let TransferTarget::Sip { address, .. } = &target {
        let checked = caller.app.outbound.check_host(&address.host).await;
        checked.map_err(|error| wrong(Invalid::new("address_refused", error.to_string())))?;
    }
    Ok(target)
}

pub(super) async fn transfer(
    caller: Caller<CallsAct>,
    Path((_, id)): Path<(TenantId, CallId)>,
    Json(body): Json<TransferCall>,
    key: IdempotencyKey,
) -> Result<Once<Entity<CallAction>>> {
    let ring = Duration::from_secs(ring(body.ring_timeout_seconds)?.into());
    let call = read(&caller, id).await?;
    let to = checked_target(&caller, &call, &body.to).await?.to_string();
    let longest = ring + Duration::from(caller.app.settings.livekit_timeout);
    let held = caller.app.clock.now() + longest;
    let asked = ("transfer_asked", Some(held));
    let prepare = async |tx: &mut TenantTx| ask(&caller, tx, id, asked).await;
    let target = match caller.pend(&key, |_| ring, prepare).await? {
        Pending::Prepared(target) => target,
        Pending::Replayed(parts) => return Ok(Once::Replayed(parts)),
    };
    // The caller may hang up; what was begun is seen through and recorded.
    seen_through(async move {
        let at = (&*target.room, &*target.telephone);
        let outcome = caller.app.livekit.transfer(at, &to, ring).await;
        let outcome = outcome.map_err(Refusal::from);
        let over = Some(CallEvent::HangUp(reason::TRANSFERRED));
        let done = async |tx: &mut TenantTx| finish(&caller, tx, target.call, outcome, over).await;
        caller.settle(&key, done).await
    })
    .await
}

pub(super) async fn dtmf(
    caller: Caller<CallsAct>,
    Path((_, id)): Path<(TenantId, CallId)>,
    Json(body): Json<SendDtmf>,
    key: IdempotencyKey,
) -> Result<Once<Entity<CallAction>>> {
    let longest = body.longest()?;
    let prepare = async |tx: &mut TenantTx| ask(&caller, tx, id, ("dtmf_asked", None)).await;
    let target = match caller.pend(&key, |_| longest, prepare).await? {
        Pending::Prepared(target) => target,
        Pending::Replayed(parts) => return Ok(Once::Replayed(parts)),
    };
    seen_through(async move {
        let outcome = press(&caller, &target, &body.digits, longest).await;
        let done = async |tx: &mut TenantTx| finish(&caller, tx, target.call, outcome, None).await;
        caller.settle(&key, done).await
    })
    .await
}

/// Asks the agent to press the keys.
async fn press(
    caller: &Caller<CallsAct>,
    target: &Target,
    digits: &str,
    longest: Duration,
) -> std::result::Result<(), Refusal> {
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
    let livekit = &caller.app.livekit;
    livekit.perform_rpc(at, DTMF, &payload, longest).await?;
    Ok(())
}
