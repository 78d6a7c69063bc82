//! Tools that a run calls.

use patchbay_domain::{
    AgentRunId, Invalid, SessionId, TenantId, ToolCallId,
    session::SessionState,
    text::{Text, Word},
    tool::{CallIds, ToolSpec},
};
use patchbay_persistence::{TenantTx, runs, sessions};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    answer::{Entity, Resource},
    audit::Change,
    compute::Turn,
    error::{ApiError, Code, Result},
    extract::{Caller, FunctionName, IdempotencyKey, Json, Path, scopes::Worker},
    flows::{
        sessions::read_configuration,
        tools::{Outcome, Prepared},
    },
    once::{Once, Pending},
    panics::seen_through,
    routes::tools::{self, ToolArguments, ToolFailure},
    timeline::{CallStatus, Facts, Timeline, ToolCallFacts},
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
    fn new(told: &ToolCallFacts, outcome: Outcome) -> Self {
        Self {
            id: told.id,
            function_name: told.function_name.clone(),
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

/// Which call it is.
struct Call {
    session: SessionId,
    facts: Facts,
    prepared: Prepared,
}

type CallPath = (TenantId, SessionId, AgentRunId, FunctionName);

pub(super) async fn call(
    caller: Caller<Worker>,
    Path((_, session, run, FunctionName(function))): Path<CallPath>,
    Json(body): Json<ToolArguments>,
    key: IdempotencyKey,
) -> Result<Once<Entity<ToolCall>>> {
    let longest = |call: &Call| call.prepared.timeout();
    let turn = caller.turn().await?;
    let prepare = async |tx: &mut TenantTx| {
        begin(&caller, (tx, turn), (session, run), (&function, body)).await
    };
    let call = match caller.pend(&key, longest, prepare).await? {
        Pending::Prepared(call) => call,
        Pending::Replayed(parts) => return Ok(Once::Replayed(parts)),
    };
    // The worker may hang up; what was begun is seen through and recorded.
    seen_through(async move {
        let outcome = call.prepared.carry_out(&caller.app).await;
        caller
            .settle(&key, async |tx| finish(&caller, tx, call, outcome).await)
            .await
    })
    .await
}

pub(super) async fn report(
    caller: Caller<Worker>,
    Path((_, session, run)): Path<(TenantId, SessionId, AgentRunId)>,
    Json(body): Json<ReportToolCall>,
    key: IdempotencyKey,
) -> Result<Once<Entity<ToolCallFacts>>> {
    let clock = &caller.app.clock;
    let turn = caller.turn().await?;
    let write = async |tx: &mut TenantTx| {
        let (spec, state) = pinned((tx, &turn), (session, run), &body.function_name).await?;
        caller.require_live_if_suspended(state.is_live())?;
        let told = body.told(clock.new_id(), &spec)?;
        let facts = Facts {
            agent_run_id: Some(run),
            tool_call: Some(told.clone()),
            ..Facts::default()
        };
        let mut timeline = Timeline::of(session);
        timeline.add(clock.now(), "tool_call.finished", facts);
        timeline.write(tx, clock).await?;
        Ok(Change::none(Entity(told)))
    };
    caller.once(&key, write).await
}

impl ReportToolCall {
    fn told(self, id: ToolCallId, spec: &ToolSpec) -> Result<ToolCallFacts> {
        if spec.client.is_none() {
            let invalid = Invalid::new("not_a_client_tool", "Patchbay calls it itself");
            return Err(ApiError::invalid_at("/function_name", invalid));
        }
        Ok(ToolCallFacts {
            id,
            function_name: self.function_name.into_inner(),
            kind: spec.kind()?.name().to_owned(),
            status: Some(self.status),
            error_code: self.error_code.map(Word::into_inner),
            http_status: None,
            duration_ms: Some(self.duration_ms),
            size_bytes: Some(self.size_bytes),
        })
    }
}

/// The version that the run's configuration pins under this name, and where the session stands.
async fn pinned(
    (tx, turn): (&mut TenantTx, &Turn),
    (session, run): (SessionId, AgentRunId),
    function: &str,
) -> Result<(ToolSpec, SessionState)> {
    let found = runs::with_configuration(tx, session, run).await?;
    let (state, document) = found.ok_or_else(ApiError::not_found)?;
    let configuration = read_configuration(turn, document).await?;
    let spec = configuration.tool(function).cloned();
    Ok((spec.ok_or_else(ApiError::not_found)?, state))
}

async fn begin(
    caller: &Caller<Worker>,
    (tx, turn): (&mut TenantTx, Turn),
    (session, run): (SessionId, AgentRunId),
    (function, body): (&str, ToolArguments),
) -> Result<Change<Call>> {
    let (spec, state) = pinned((tx, &turn), (session, run), function).await?;
    caller.require_live_if_suspended(state.is_live())?;
    if !matches!(state, SessionState::Starting | SessionState::Running) {
        let detail = "Nobody is left to call for.";
        return Err(ApiError::new(Code::SessionOver, detail));
    }
    let checked = tools::checked(&turn, spec, body).await?;
    let clock = &caller.app.clock;
    let id: ToolCallId = clock.new_id();
    let facts = begun(run, id, &checked.spec)?;
    let mut timeline = Timeline::of(session);
    timeline.add(clock.now(), "tool_call.started", facts.clone());
    timeline.write(tx, clock).await?;
    let ids = CallIds {
        id: id.to_string(),
        session_id: Some(session),
        agent_run_id: Some(run),
    };
    let prepared = Prepared::new(&caller.app, tx, checked, ids).await?;
    Ok(Change::none(Call {
        session,
        facts,
        prepared,
    }))
}

/// What the timeline says of a call that begins.
fn begun(run: AgentRunId, id: ToolCallId, spec: &ToolSpec) -> Result<Facts> {
    let call = ToolCallFacts {
        id,
        function_name: spec.function_name.to_string(),
        kind: spec.kind()?.name().to_owned(),
        status: None,
        error_code: None,
        http_status: None,
        duration_ms: None,
        size_bytes: None,
    };
    Ok(Facts {
        agent_run_id: Some(run),
        tool_call: Some(call),
        ..Facts::default()
    })
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
    told.status = Some(outcome.status());
    told.error_code = outcome.error.as_ref().map(|error| error.code.clone());
    told.http_status = outcome.http_status;
    told.duration_ms = Some(outcome.duration_ms());
    told.size_bytes = Some(outcome.size_bytes());
    let answer = ToolCall::new(told, outcome);
    // The session may have been erased meanwhile, and its timeline with it; not from here on.
    if sessions::find(tx, call.session, true).await?.is_some() {
        let mut timeline = Timeline::of(call.session);
        timeline.add(clock.now(), "tool_call.finished", facts);
        timeline.write(tx, clock).await?;
    }
    Ok(Change::none(Entity(answer)))
}
