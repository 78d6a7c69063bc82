//! Tools that a run calls.

use actix_web::rt;
use patchbay_domain::{
    AgentRunId, SessionId, TenantId, ToolCallId,
    configuration::Configuration,
    session::SessionState,
    tool::{CallIds, ToolSpec},
};
use patchbay_persistence::{TenantTx, runs, sessions};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    answer::{Entity, Resource},
    audit::Change,
    error::{ApiError, Code, Result},
    extract::{Caller, IdempotencyKey, Json, Path, scopes::Worker},
    flows::tools::{Outcome, Prepared},
    once::{Once, Pending},
    routes::tools::{self, ToolArguments, ToolFailure},
    timeline::{Facts, Timeline, ToolCallFacts},
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
    /// `succeeded` or `failed`.
    #[schema(max_length = 20)]
    status: String,
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

impl Resource for ToolCall {
    const VERSIONED: bool = false;
    fn revision(&self) -> Option<i64> {
        None
    }
}

/// Which call it is.
struct Call {
    session: SessionId,
    facts: Facts,
    prepared: Prepared,
}

type CallPath = (TenantId, SessionId, AgentRunId, String);

pub(super) async fn call(
    caller: Caller<Worker>,
    Path((_, session, run, function)): Path<CallPath>,
    Json(body): Json<ToolArguments>,
    key: IdempotencyKey,
) -> Result<Once<Entity<ToolCall>>> {
    let spec = pinned(&caller, (session, run), &function).await?;
    let arguments = tools::checked(&spec, body)?;
    let longest = tools::longest(&spec);
    let prepare =
        async |tx: &mut TenantTx| begin(&caller, tx, (session, run), spec, arguments).await;
    let call = match caller.pend(&key, longest, prepare).await? {
        Pending::Prepared(call) => call,
        Pending::Replayed(parts) => return Ok(Once::Replayed(parts)),
    };
    // The worker may hang up; what was begun is seen through and recorded.
    let seen_through = rt::spawn(async move {
        let outcome = call.prepared.carry_out(&caller.app).await;
        caller
            .settle(&key, async |tx| finish(&caller, tx, call, outcome).await)
            .await
    });
    seen_through.await.map_err(ApiError::internal)?
}

/// The version that the run's configuration pins under this name.
async fn pinned(
    caller: &Caller<Worker>,
    (session, run): (SessionId, AgentRunId),
    function: &str,
) -> Result<ToolSpec> {
    let mut tx = caller.read().await?;
    let found = runs::with_configuration(&mut tx, session, run).await?;
    tx.finish();
    let (state, document) = found.ok_or_else(ApiError::not_found)?;
    let configuration: Configuration =
        serde_json::from_value(document).map_err(ApiError::internal)?;
    let spec = configuration.tool(function).cloned();
    let spec = spec.ok_or_else(ApiError::not_found)?;
    caller.require_live_if_suspended(state.is_live())?;
    match state {
        SessionState::Starting | SessionState::Running => Ok(spec),
        _ => Err(ApiError::new(
            Code::SessionOver,
            "Nobody is left to call for.",
        )),
    }
}

async fn begin(
    caller: &Caller<Worker>,
    tx: &mut TenantTx,
    (session, run): (SessionId, AgentRunId),
    spec: ToolSpec,
    arguments: Value,
) -> Result<Change<Call>> {
    let clock = &caller.app.clock;
    let id: ToolCallId = clock.new_id();
    let facts = Facts {
        agent_run_id: Some(run),
        tool_call: Some(ToolCallFacts {
            id,
            function_name: spec.function_name.to_string(),
            way: spec.way()?.name().to_owned(),
            status: None,
            error_code: None,
            http_status: None,
            duration_ms: None,
            size_bytes: None,
        }),
        ..Facts::default()
    };
    let mut timeline = Timeline::of(session);
    timeline.add(clock.now(), "tool_call.started", facts.clone());
    timeline.write(tx, clock).await?;
    let ids = CallIds {
        id: id.to_string(),
        session_id: Some(session),
        agent_run_id: Some(run),
    };
    let prepared = Prepared::new(&caller.app, tx, spec, arguments, ids).await?;
    Ok(Change::none(Call {
        session,
        facts,
        prepared,
    }))
}

async fn finish(
    caller: &Caller<Worker>,
    tx: &mut TenantTx,
    call: Call,
    outcome: Outcome,
) -> Result<Change<Entity<ToolCall>>> {
    let (clock, mut facts) = (&caller.app.clock, call.facts);
    let Some(told) = &mut facts.tool_call else {
        return Err(ApiError::internal("a call without its facts"));
    };
    told.status = Some(outcome.status().to_owned());
    told.error_code = outcome.error.as_ref().map(|error| error.code.clone());
    told.http_status = outcome.http_status;
    told.duration_ms = Some(tools::millis(&outcome));
    told.size_bytes = Some(tools::size(&outcome));
    let answer = ToolCall {
        id: told.id,
        function_name: told.function_name.clone(),
        status: outcome.status().to_owned(),
        duration_ms: tools::millis(&outcome),
        size_bytes: tools::size(&outcome),
        result: outcome.result,
        error: outcome.error.map(ToolFailure::from),
        http_status: outcome.http_status,
    };
    // The session may have been erased meanwhile, and its timeline with it.
    if sessions::find(tx, call.session, false).await?.is_some() {
        let mut timeline = Timeline::of(call.session);
        timeline.add(clock.now(), "tool_call.finished", facts);
        timeline.write(tx, clock).await?;
    }
    Ok(Change::none(Entity(answer)))
}
