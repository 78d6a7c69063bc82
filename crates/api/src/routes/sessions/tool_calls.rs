//! Tools that a run calls.

use patchbay_domain::{
    AgentRunId, SessionId, TenantId, ToolCallId,
    text::{Text, Word},
    timeline::{CallStatus, ToolCallFacts},
};
use patchbay_service::{
    Result, UnitOfWork,
    audit::Change,
    idempotency::Once,
    tools::{
        outcome::Outcome,
        run_call::{self, Report, RunCall},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    answer::{Entity, Resource},
    extract::{Caller, FunctionName, IdempotencyKey, Json, Path, scopes::Worker},
    panics::seen_through,
    routes::tools::{ToolArguments, ToolFailure},
};

/// How a call went.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f90", "function_name": "find_order", "status": "succeeded",
    "result": {"state": "sent"}, "error": null, "http_status": 200, "duration_ms": 84, "size_bytes": 27
}))]
pub struct ToolCall {
    /// Id of the call, as on the timeline.
    id: ToolCallId,
    /// The function.
    #[schema(max_length = 64)]
    function_name: String,
    /// How it ended.
    status: CallStatus,
    /// What the model is told; with a failure, what the tool said of it.
    result: Value,
    /// Why it failed.
    error: Option<ToolFailure>,
    /// Status of the HTTP answer; null where there was none.
    #[schema(minimum = 100, maximum = 999)]
    http_status: Option<u16>,
    /// Milliseconds it took.
    #[schema(minimum = 0, maximum = 600_000)]
    duration_ms: u32,
    /// Bytes of the answer.
    #[schema(minimum = 0)]
    size_bytes: u32,
}

impl ToolCall {
    fn new(facts: &ToolCallFacts, outcome: Outcome) -> Self {
        Self {
            id: facts.id,
            function_name: facts.function_name.clone(),
            status: outcome.status(),
            duration_ms: outcome.duration_ms(),
            size_bytes: outcome.size_bytes(),
            result: outcome.result,
            error: outcome.error.map(ToolFailure::from),
            http_status: outcome.http_status,
        }
    }
}

impl Resource for ToolCall {}

impl Resource for ToolCallFacts {}

/// A call that a participant has carried out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"function_name": "open_page", "status": "succeeded", "duration_ms": 120, "size_bytes": 12}))]
pub struct ReportToolCall {
    /// The function, which the run's configuration pins as one of kind `client`.
    function_name: Text<1, 64>,
    /// How it ended.
    status: CallStatus,
    /// Code of the failure, such as `rpc_1502`.
    error_code: Option<Word>,
    /// Milliseconds it took.
    #[schema(maximum = 600_000)]
    duration_ms: u32,
    /// Bytes of the answer.
    #[serde(default)]
    size_bytes: u32,
}

impl From<ReportToolCall> for Report {
    fn from(body: ReportToolCall) -> Self {
        Self {
            function_name: body.function_name.into_inner(),
            status: body.status,
            error_code: body.error_code.map(Word::into_inner),
            duration_ms: body.duration_ms,
            size_bytes: body.size_bytes,
        }
    }
}

type CallPath = (TenantId, SessionId, AgentRunId, FunctionName);

pub(super) async fn call(
    caller: Caller<Worker>,
    Path((_, session, run, FunctionName(function))): Path<CallPath>,
    Json(body): Json<ToolArguments>,
    key: IdempotencyKey,
) -> Result<Once<Entity<ToolCall>>> {
    let longest = |call: &RunCall| call.prepared.timeout();
    let turn = caller.turn().await?;
    let prepare = async |unit: &mut UnitOfWork| {
        let (service, function) = (&caller.service, (&*function, body.arguments));
        let call = run_call::prepare(service, (unit, turn), (session, run), function).await?;
        Ok(Change::none(call))
    };
    let call = match caller.prepare(&key, longest, prepare).await? {
        Once::Fresh(call) => call,
        Once::Replayed(kept) => return Ok(Once::Replayed(kept)),
    };
    // The worker may hang up; what was begun is seen through and recorded.
    seen_through(async move {
        let outcome = call.prepared.carry_out(&caller.service).await;
        let finish = async |unit: &mut UnitOfWork| {
            let facts = run_call::finish(&caller.service, unit, call, &outcome).await?;
            Ok(Change::none(Entity(ToolCall::new(&facts, outcome))))
        };
        caller.complete(&key, finish).await
    })
    .await
}

pub(super) async fn report(
    caller: Caller<Worker>,
    Path((_, session, run)): Path<(TenantId, SessionId, AgentRunId)>,
    Json(body): Json<ReportToolCall>,
    key: IdempotencyKey,
) -> Result<Once<Entity<ToolCallFacts>>> {
    let turn = caller.turn().await?;
    let write = async |unit: &mut UnitOfWork| {
        let (service, report) = (&caller.service, body.into());
        let facts = run_call::report(service, (unit, &turn), (session, run), report).await?;
        Ok(Change::none(Entity(facts)))
    };
    caller.once(&key, write).await
}
