//! Tool calls of an agent run.

use patchbay_domain::{
    AgentRunId, SessionId, TenantId, ToolCallId,
    text::{Text, Word},
    timeline::{ToolCallFacts, ToolCallStatus},
};
use patchbay_service::{
    Result, UnitOfWork,
    audit::Change,
    idempotency::Idempotent,
    tools::{
        outcome::Outcome,
        run_call::{self, ClientCallReport, RunCall},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    extract::{Caller, FunctionName, IdempotencyKey, Json, Path, scopes::Worker},
    panics::run_to_completion,
    response::{Entity, Resource},
    routes::tools::{ToolArguments, ToolFailure},
};

/// The result of a tool call.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f90", "function_name": "find_order", "status": "succeeded",
    "result": {"state": "sent"}, "error": null, "http_status": 200, "duration_ms": 84, "size_bytes": 27
}))]
pub struct ToolCall {
    /// Id of the call, as on the timeline.
    id: ToolCallId,
    /// Function name of the tool.
    #[schema(max_length = 64)]
    function_name: String,
    /// Status of the call.
    status: ToolCallStatus,
    /// Result for the model; after a failure, the error response of the tool.
    result: Value,
    /// Error; null if the call succeeded.
    error: Option<ToolFailure>,
    /// HTTP status code of the response; null without an HTTP response.
    #[schema(minimum = 100, maximum = 999)]
    http_status: Option<u16>,
    /// Duration in milliseconds.
    #[schema(minimum = 0, maximum = 600_000)]
    duration_ms: u32,
    /// Size of the response in bytes.
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

/// A tool call that a participant's client has made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"function_name": "open_page", "status": "succeeded", "duration_ms": 120, "size_bytes": 12}))]
pub struct ReportToolCall {
    /// Function name of a tool of kind `client` in the run's configuration.
    function_name: Text<1, 64>,
    /// Status of the call.
    status: ToolCallStatus,
    /// Error code, such as `rpc_1502`.
    error_code: Option<Word>,
    /// Duration in milliseconds.
    #[schema(maximum = 600_000)]
    duration_ms: u32,
    /// Size of the response in bytes.
    #[serde(default)]
    size_bytes: u32,
}

impl From<ReportToolCall> for ClientCallReport {
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
) -> Result<Idempotent<Entity<ToolCall>>> {
    let max_duration = |call: &RunCall| call.prepared.timeout();
    let permit = caller.compute_permit().await?;
    let prepare = async |unit: &mut UnitOfWork| {
        let (service, function) = (&caller.service, (&*function, body.arguments));
        let call = run_call::prepare(service, (unit, permit), (session, run), function).await?;
        Ok(Change::without_events(call))
    };
    let call = match caller.prepare(&key, max_duration, prepare).await? {
        Idempotent::Fresh(call) => call,
        Idempotent::Replayed(stored) => return Ok(Idempotent::Replayed(stored)),
    };
    // The worker may disconnect; the call is completed and recorded all the same.
    run_to_completion(async move {
        let outcome = call.prepared.execute(&caller.service).await;
        let finish = async |unit: &mut UnitOfWork| {
            let facts = run_call::finish(&caller.service, unit, call, &outcome).await?;
            Ok(Change::without_events(Entity(ToolCall::new(
                &facts, outcome,
            ))))
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
) -> Result<Idempotent<Entity<ToolCallFacts>>> {
    let permit = caller.compute_permit().await?;
    let write = async |unit: &mut UnitOfWork| {
        let (service, report) = (&caller.service, body.into());
        let facts = run_call::report(service, (unit, &permit), (session, run), report).await?;
        Ok(Change::without_events(Entity(facts)))
    };
    caller.once(&key, write).await
}
