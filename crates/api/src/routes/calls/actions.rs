//! Actions on answered calls: transfer and DTMF.

use std::time::Duration;

use patchbay_domain::{
    CallId, TenantId,
    call::{CallEvent, reason},
    text::{OneLine, Text},
};
use patchbay_persistence::calls;
use patchbay_service::{
    Error, Result, UnitOfWork,
    audit::Change,
    idempotency::Idempotent,
    telephony::actions::{self, ActionOutcome, Target},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dto::{Call, ring_timeout};
use crate::{
    extract::{Caller, IdempotencyKey, Json, Path, scopes::CallsAct},
    failure::Failure,
    panics::run_to_completion,
    response::{Entity, Resource},
};

/// Request to transfer a call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "+49 30 654321"}))]
pub struct TransferCall {
    /// Transfer target: a phone number with its country code, a `tel:` URI, or `sip:user@host`. The host must be a
    /// public address or within a network that the operator allows. If the operator restricts number prefixes, the
    /// user part must be a phone number.
    to: OneLine<1, 320>,
    /// Ring timeout of the transfer target in seconds; 45 by default.
    #[schema(minimum = 5, maximum = 75)]
    ring_timeout_seconds: Option<u32>,
}

/// Request to send DTMF.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"digits": "1234#"}))]
pub struct SendDtmf {
    /// DTMF digits: `0` to `9`, `*`, `#` and `A` to `D`; `w` pauses for half a second.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[0-9A-D*#w]*$")]
    digits: Text<1, 64>,
}

/// Outcome of an action on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallActionStatus {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

/// Result of an action on a call.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "failed", "sip_status": 603, "error": {"code": "refused", "message": "Decline"},
    "call": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0", "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
        "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "direction": "outbound", "primary": true, "state": "answered",
        "end_reason": null, "hangup_by": null, "sip_status": null, "error": null, "from": "+4930123456", "to": "+4930654321",
        "trunk_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fa0", "mapping_id": null, "sip_call_id": "SCL_abc",
        "ring_timeout_seconds": 45, "max_duration_seconds": 600, "answer_detection": "off", "ring_seconds": 4.2,
        "talk_seconds": null, "revision": 4, "created_at": "2026-11-23T20:00:00Z", "dialing_at": "2026-11-23T20:00:00Z",
        "ringing_at": "2026-11-23T20:00:02Z", "answered_at": "2026-11-23T20:00:06Z", "ended_at": null
    }
}))]
pub struct CallAction {
    /// Whether the action succeeded.
    status: CallActionStatus,
    /// SIP status with which the carrier rejected the action; null if there is none.
    #[schema(minimum = 300, maximum = 699)]
    sip_status: Option<u16>,
    /// What the carrier (`refused`), LiveKit or the worker (`failed`) says; null if the action succeeded.
    error: Option<Failure>,
    /// Current state of the call.
    call: Call,
}

impl Resource for CallAction {}

impl CallAction {
    fn new(outcome: ActionOutcome, call: calls::Call) -> Self {
        let call = Call::from(call);
        match outcome {
            Ok(()) => Self {
                status: CallActionStatus::Succeeded,
                sip_status: None,
                error: None,
                call,
            },
            Err(refusal) => Self {
                status: CallActionStatus::Failed,
                sip_status: refusal.sip_status,
                error: Some(match refusal.sip_status {
                    Some(_) => Failure::new("refused", refusal.detail),
                    None => Failure::new(Failure::FAILED, refusal.detail),
                }),
                call,
            },
        }
    }
}

/// Records the outcome of the action and returns it.
async fn finish(
    caller: &Caller<CallsAct>,
    key: &IdempotencyKey,
    target: &Target,
    outcome: ActionOutcome,
    end_event: Option<CallEvent>,
) -> Result<Idempotent<Entity<CallAction>>> {
    let finish = async |unit: &mut UnitOfWork| {
        let service = &caller.service;
        let call = actions::finish(service, unit, target.call, &outcome, end_event).await?;
        Ok(Change::without_events(Entity(CallAction::new(
            outcome, call,
        ))))
    };
    caller.complete(key, finish).await
}

pub(super) async fn transfer(
    caller: Caller<CallsAct>,
    Path((tenant, id)): Path<(TenantId, CallId)>,
    Json(body): Json<TransferCall>,
    key: IdempotencyKey,
) -> Result<Idempotent<Entity<CallAction>>> {
    let service = &caller.service;
    let ring = Duration::from_secs(ring_timeout(body.ring_timeout_seconds)?.into());
    let mut tx = caller.read().await?;
    let call = calls::find(&mut tx, id).await?;
    tx.finish();
    let call = call.ok_or_else(Error::not_found)?;
    let to = actions::check_transfer(service, tenant, &call, &body.to).await?;
    let hold_until = service.clock.now() + ring + service.settings.livekit.timeout;
    let action = ("transfer_asked", Some(hold_until));
    let prepare = async |unit: &mut UnitOfWork| actions::prepare(unit, id, action).await;
    let target = match caller.prepare(&key, |_| ring, prepare).await? {
        Idempotent::Fresh(target) => target,
        Idempotent::Replayed(response) => return Ok(Idempotent::Replayed(response)),
    };
    // The transfer is completed and recorded even if the client disconnects.
    run_to_completion(async move {
        let outcome = actions::transfer(&caller.service, &target, &to.to_string(), ring).await;
        let end_event = Some(CallEvent::HangUp(reason::TRANSFERRED));
        finish(&caller, &key, &target, outcome, end_event).await
    })
    .await
}

pub(super) async fn dtmf(
    caller: Caller<CallsAct>,
    Path((_, id)): Path<(TenantId, CallId)>,
    Json(body): Json<SendDtmf>,
    key: IdempotencyKey,
) -> Result<Idempotent<Entity<CallAction>>> {
    let timeout = actions::dtmf_timeout(&body.digits)?;
    let action = ("dtmf_asked", None);
    let prepare = async |unit: &mut UnitOfWork| actions::prepare(unit, id, action).await;
    let target = match caller.prepare(&key, |_| timeout, prepare).await? {
        Idempotent::Fresh(target) => target,
        Idempotent::Replayed(response) => return Ok(Idempotent::Replayed(response)),
    };
    run_to_completion(async move {
        let service = &caller.service;
        let outcome = actions::send_dtmf(service, &target, &body.digits, timeout).await;
        finish(&caller, &key, &target, outcome, None).await
    })
    .await
}
