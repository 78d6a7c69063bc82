//! Tool calls of a run: made by Patchbay, or reported after a participant's client has made them.

use patchbay_domain::{
    AgentRunId, Invalid, SessionId, ToolCallId,
    session::SessionState,
    timeline::{EventKind, Facts, ToolCallFacts, ToolCallStatus},
    tool::{CallIds, ToolSpec},
};
use patchbay_persistence::{TenantTx, runs, sessions};
use serde_json::{Map, Value};

use super::{call::PreparedCall, check::check_arguments, outcome::Outcome};
use crate::{
    Error, Result, Service, UnitOfWork, compute::ComputePermit,
    sessions::configuration::read_configuration, timeline::Timeline,
};

/// A prepared tool call of a run.
pub struct RunCall {
    session: SessionId,
    run: AgentRunId,
    facts: ToolCallFacts,
    /// The prepared call.
    pub prepared: PreparedCall,
}

/// A worker's report of a tool call that a participant's client has made.
pub struct ClientCallReport {
    /// Name of the function.
    pub function_name: String,
    /// Status of the call.
    pub status: ToolCallStatus,
    /// Error code, if the call failed.
    pub error_code: Option<String>,
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// Size of the response in bytes.
    pub size_bytes: u32,
}

/// Prepares a call of the tool that the run's configuration pins under this function name, and appends its start
/// to the timeline.
pub async fn prepare(
    service: &Service,
    (unit, permit): (&mut UnitOfWork, ComputePermit),
    (session, run): (SessionId, AgentRunId),
    (function, arguments): (&str, Map<String, Value>),
) -> Result<RunCall> {
    let (spec, state) = pinned_tool((unit, &permit), (session, run), function).await?;
    unit.origin().require_live_if_suspended(state.is_live())?;
    Error::require_active(state)?;
    let checked = check_arguments(&permit, spec, arguments).await?;
    let id: ToolCallId = service.clock.new_id();
    let facts = start_facts(id, &checked.spec)?;
    append(
        service,
        unit,
        (session, run),
        EventKind::ToolCallStarted,
        &facts,
    )
    .await?;
    let ids = CallIds {
        id: id.to_string(),
        session_id: Some(session),
        agent_run_id: Some(run),
    };
    let prepared = PreparedCall::new(service, unit, checked, ids).await?;
    Ok(RunCall {
        session,
        run,
        facts,
        prepared,
    })
}

/// Appends the end of a call to the timeline.
pub async fn finish(
    service: &Service,
    unit: &mut UnitOfWork,
    call: RunCall,
    outcome: &Outcome,
) -> Result<ToolCallFacts> {
    let facts = ToolCallFacts {
        status: Some(outcome.status()),
        error_code: outcome.error.as_ref().map(|error| error.code.clone()),
        http_status: outcome.http_status,
        duration_ms: Some(outcome.duration_ms()),
        size_bytes: Some(outcome.size_bytes()),
        ..call.facts
    };
    let place = (call.session, call.run);
    append(service, unit, place, EventKind::ToolCallFinished, &facts).await?;
    Ok(facts)
}

/// Appends a call that a participant's client has made to the timeline.
pub async fn report(
    service: &Service,
    (unit, permit): (&mut UnitOfWork, &ComputePermit),
    (session, run): (SessionId, AgentRunId),
    report: ClientCallReport,
) -> Result<ToolCallFacts> {
    let (spec, state) = pinned_tool((unit, permit), (session, run), &report.function_name).await?;
    unit.origin().require_live_if_suspended(state.is_live())?;
    if spec.client.is_none() {
        let invalid = Invalid::new("not_a_client_tool", "Patchbay calls this tool itself");
        return Err(Error::invalid_at("/function_name", invalid));
    }
    let facts = ToolCallFacts {
        id: service.clock.new_id(),
        function_name: report.function_name,
        kind: spec.kind()?.word().to_string(),
        status: Some(report.status),
        error_code: report.error_code,
        http_status: None,
        duration_ms: Some(report.duration_ms),
        size_bytes: Some(report.size_bytes),
    };
    append(
        service,
        unit,
        (session, run),
        EventKind::ToolCallFinished,
        &facts,
    )
    .await?;
    Ok(facts)
}

/// Returns the tool that the run's configuration pins under this function name, and the session's state.
async fn pinned_tool(
    (tx, permit): (&mut TenantTx, &ComputePermit),
    (session, run): (SessionId, AgentRunId),
    function: &str,
) -> Result<(ToolSpec, SessionState)> {
    let found = runs::with_configuration(tx, session, run).await?;
    let (state, document) = found.ok_or_else(Error::not_found)?;
    let configuration = read_configuration(permit, document).await?;
    let spec = configuration.tool(function).cloned();
    Ok((spec.ok_or_else(Error::not_found)?, state))
}

/// The timeline facts of a call that starts.
fn start_facts(id: ToolCallId, spec: &ToolSpec) -> Result<ToolCallFacts> {
    Ok(ToolCallFacts {
        id,
        function_name: spec.function_name.to_string(),
        kind: spec.kind()?.word().to_string(),
        status: None,
        error_code: None,
        http_status: None,
        duration_ms: None,
        size_bytes: None,
    })
}

/// Appends an event, unless the session has been erased in the meantime; the lock prevents that from here on.
async fn append(
    service: &Service,
    unit: &mut UnitOfWork,
    (session, run): (SessionId, AgentRunId),
    kind: EventKind,
    facts: &ToolCallFacts,
) -> Result<()> {
    if sessions::lock_for_append(unit, session).await?.is_none() {
        return Ok(());
    }
    let facts = Facts {
        agent_run_id: Some(run),
        tool_call: Some(facts.clone()),
        ..Facts::default()
    };
    let timeline = Timeline::one(session, service.clock.now(), kind, facts);
    unit.append(timeline).await
}
