//! Tools that a run calls, or reports as called by somebody's client.

use patchbay_domain::{
    AgentRunId, Invalid, SessionId, ToolCallId,
    session::SessionState,
    timeline::{CallStatus, Facts, ToolCallFacts},
    tool::{CallIds, ToolSpec},
};
use patchbay_persistence::{TenantTx, runs, sessions};
use serde_json::{Map, Value};

use super::{call::Prepared, check::check_arguments, outcome::Outcome};
use crate::{
    Code, Error, Result, Service, UnitOfWork, compute::Turn,
    sessions::configuration::read_configuration, timeline::Timeline,
};

/// A call that is about to be made.
pub struct RunCall {
    session: SessionId,
    run: AgentRunId,
    facts: ToolCallFacts,
    /// The call itself.
    pub prepared: Prepared,
}

/// What a worker reports of a call that somebody's client has carried out.
pub struct Report {
    /// The function.
    pub function_name: String,
    /// How it ended.
    pub status: CallStatus,
    /// Code of the failure.
    pub error_code: Option<String>,
    /// Milliseconds it took.
    pub duration_ms: u32,
    /// Bytes of the answer.
    pub size_bytes: u32,
}

/// Prepares a call of the tool that the run's configuration pins under this name.
pub async fn prepare(
    service: &Service,
    (unit, turn): (&mut UnitOfWork, Turn),
    (session, run): (SessionId, AgentRunId),
    (function, arguments): (&str, Map<String, Value>),
) -> Result<RunCall> {
    let (spec, state) = pinned((unit, &turn), (session, run), function).await?;
    unit.origin().require_live_if_suspended(state.is_live())?;
    if !matches!(state, SessionState::Starting | SessionState::Running) {
        let detail = "Nobody is left to call for.";
        return Err(Error::new(Code::SessionOver, detail));
    }
    let checked = check_arguments(&turn, spec, arguments).await?;
    let id: ToolCallId = service.clock.new_id();
    let facts = started(id, &checked.spec)?;
    append(service, unit, (session, run), "tool_call.started", &facts).await?;
    let ids = CallIds {
        id: id.to_string(),
        session_id: Some(session),
        agent_run_id: Some(run),
    };
    let prepared = Prepared::new(service, unit, checked, ids).await?;
    Ok(RunCall {
        session,
        run,
        facts,
        prepared,
    })
}

/// Records how a call ended.
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
    // The session may have been erased meanwhile, and its timeline with it; not from here on.
    if sessions::lock(unit, call.session).await?.is_some() {
        let place = (call.session, call.run);
        append(service, unit, place, "tool_call.finished", &facts).await?;
    }
    Ok(facts)
}

/// Records a call that somebody's client has carried out.
pub async fn report(
    service: &Service,
    (unit, turn): (&mut UnitOfWork, &Turn),
    (session, run): (SessionId, AgentRunId),
    report: Report,
) -> Result<ToolCallFacts> {
    let (spec, state) = pinned((unit, turn), (session, run), &report.function_name).await?;
    unit.origin().require_live_if_suspended(state.is_live())?;
    if spec.client.is_none() {
        let invalid = Invalid::new("not_a_client_tool", "Patchbay calls it itself");
        return Err(Error::invalid_at("/function_name", invalid));
    }
    let facts = ToolCallFacts {
        id: service.clock.new_id(),
        function_name: report.function_name,
        kind: spec.kind()?.name().to_owned(),
        status: Some(report.status),
        error_code: report.error_code,
        http_status: None,
        duration_ms: Some(report.duration_ms),
        size_bytes: Some(report.size_bytes),
    };
    append(service, unit, (session, run), "tool_call.finished", &facts).await?;
    Ok(facts)
}

/// The version that the run's configuration pins under this name, and where the session stands.
async fn pinned(
    (tx, turn): (&mut TenantTx, &Turn),
    (session, run): (SessionId, AgentRunId),
    function: &str,
) -> Result<(ToolSpec, SessionState)> {
    let found = runs::with_configuration(tx, session, run).await?;
    let (state, document) = found.ok_or_else(Error::not_found)?;
    let configuration = read_configuration(turn, document).await?;
    let spec = configuration.tool(function).cloned();
    Ok((spec.ok_or_else(Error::not_found)?, state))
}

/// What the timeline says of a call that starts.
fn started(id: ToolCallId, spec: &ToolSpec) -> Result<ToolCallFacts> {
    Ok(ToolCallFacts {
        id,
        function_name: spec.function_name.to_string(),
        kind: spec.kind()?.name().to_owned(),
        status: None,
        error_code: None,
        http_status: None,
        duration_ms: None,
        size_bytes: None,
    })
}

async fn append(
    service: &Service,
    unit: &mut UnitOfWork,
    (session, run): (SessionId, AgentRunId),
    kind: &str,
    facts: &ToolCallFacts,
) -> Result<()> {
    let facts = Facts {
        agent_run_id: Some(run),
        tool_call: Some(facts.clone()),
        ..Facts::default()
    };
    let timeline = Timeline::one(session, service.clock.now(), kind, facts);
    unit.append(timeline).await
}
