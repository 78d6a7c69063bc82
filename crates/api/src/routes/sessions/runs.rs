//! What ran: agent runs and configurations.

use patchbay_domain::{AgentRunId, SessionId, TenantId};
use patchbay_persistence::{calls, runs, sessions};

use super::dto::{AgentRun, AgentRunConfig, RunCall, StoredConfiguration};
use crate::{
    answer::{Entity, Page},
    error::{ApiError, Result},
    extract::{
        Caller, Digest, List, NoFilter, Path,
        scopes::{RunConfigRead, SessionsRead},
    },
    flows::sessions::read_configuration,
};

pub(super) async fn list(
    caller: Caller<SessionsRead>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    list: List<NoFilter>,
) -> Result<Page<AgentRun>> {
    let mut tx = caller.read().await?;
    super::require(&mut tx, id).await?;
    let rows = runs::list(&mut tx, id, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), AgentRun::from))
}

pub(super) async fn config(
    caller: Caller<RunConfigRead>,
    Path((tenant, session_id, run_id)): Path<(TenantId, SessionId, AgentRunId)>,
) -> Result<Entity<AgentRunConfig>> {
    Ok(Entity(
        run_config(&caller, tenant, session_id, run_id).await?,
    ))
}

/// What a run is to run.
pub(crate) async fn run_config<P>(
    caller: &Caller<P>,
    tenant: TenantId,
    session_id: SessionId,
    run_id: AgentRunId,
) -> Result<AgentRunConfig> {
    let mut tx = caller.read().await?;
    let run = runs::find(&mut tx, session_id, run_id).await?;
    let run = run.ok_or_else(ApiError::not_found)?;
    let session = sessions::find(&mut tx, session_id, false).await?;
    let session = session.ok_or_else(ApiError::not_found)?;
    caller.require_live_if_suspended(session.state.is_live())?;
    let stored = sessions::find_configuration(&mut tx, &run.configuration_digest).await?;
    let stored = stored.ok_or_else(|| ApiError::internal("a run without its configuration"))?;
    let calls = calls::of_session(&mut tx, session_id).await?;
    let call = calls.into_iter().find(|call| call.is_primary);
    tx.finish();
    // A further agent has a prompt of its own.
    let (prompt, greeting) = match run.rendered_prompt {
        Some(prompt) => (prompt, run.rendered_greeting),
        None => (session.rendered_prompt, session.rendered_greeting),
    };
    let configuration = read_configuration(&caller.turn().await?, stored.document).await?;
    Ok(AgentRunConfig {
        tenant_id: tenant,
        session_id,
        agent_run_id: run_id,
        state: session.state,
        digest: stored.digest,
        configuration,
        prompt,
        greeting,
        call: call.map(RunCall::from),
    })
}

pub(super) async fn configuration(
    caller: Caller<SessionsRead>,
    Path((_, Digest(digest))): Path<(TenantId, Digest)>,
) -> Result<Entity<StoredConfiguration>> {
    let mut tx = caller.read().await?;
    let found = sessions::find_configuration(&mut tx, &digest).await?;
    tx.finish();
    let sessions::StoredConfiguration {
        tenant_id: _,
        digest,
        document,
        created_at,
    } = found.ok_or_else(ApiError::not_found)?;
    Ok(Entity(StoredConfiguration {
        digest,
        configuration: read_configuration(&caller.turn().await?, document).await?,
        created_at,
    }))
}
