//! Handlers of agent runs and configurations.

use patchbay_domain::{AgentRunId, SessionId, TenantId};
use patchbay_persistence::{runs, sessions};
use patchbay_service::{
    Error, Result,
    sessions::{configuration::read_configuration, run_configuration},
};

use super::{
    lookup,
    run_dto::{AgentRun, AgentRunConfig, StoredConfiguration},
};
use crate::{
    extract::{
        Caller, Digest, List, NoFilter, Path,
        scopes::{RunConfigRead, SessionsRead},
    },
    response::{Entity, Page},
};

pub(super) async fn list(
    caller: Caller<SessionsRead>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    list: List<NoFilter>,
) -> Result<Page<AgentRun>> {
    let mut tx = caller.read().await?;
    lookup::require(&mut tx, id).await?;
    let rows = runs::list(&mut tx, id, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), AgentRun::from))
}

pub(super) async fn config(
    caller: Caller<RunConfigRead>,
    Path((tenant, session, run)): Path<(TenantId, SessionId, AgentRunId)>,
) -> Result<Entity<AgentRunConfig>> {
    let (service, origin) = (&caller.service, &caller.origin);
    let configuration = run_configuration::load(service, origin, tenant, (session, run)).await?;
    Ok(Entity(AgentRunConfig::new(
        tenant,
        (session, run),
        configuration,
    )))
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
    } = found.ok_or_else(Error::not_found)?;
    Ok(Entity(StoredConfiguration {
        digest,
        configuration: read_configuration(&caller.compute_permit().await?, document).await?,
        created_at: created_at.into(),
    }))
}
