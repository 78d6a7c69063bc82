//! Agents.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{AgentId, BindingId, Metadata, SessionId, TenantId, worker::Availability};

use crate::{
    Result, Rows, TenantTx, Window,
    names::{lower, starts_with},
    prepared::Prepare as _,
    schema::{agent_runs, agents, sessions},
    workers,
};

/// One agent.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = agents)]
#[expect(missing_docs, reason = "columns")]
pub struct Agent {
    pub tenant_id: TenantId,
    pub id: AgentId,
    pub name: String,
    pub description: String,
    pub worker_name: String,
    pub metadata: Metadata,
    pub active_binding_id: Option<BindingId>,
    pub last_binding: i32,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Filter of a list of agents.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub name: Option<String>,
    pub worker_name: Option<String>,
}

/// Inserts an agent. A taken name is the unique violation `agents_name_key`.
pub async fn insert(tx: &mut TenantTx, agent: &Agent) -> Result<()> {
    diesel::insert_into(agents::table)
        .values((
            agents::tenant_id.eq(tx.tenant()),
            agents::id.eq(agent.id),
            agents::name.eq(&agent.name),
            agents::description.eq(&agent.description),
            agents::worker_name.eq(&agent.worker_name),
            agents::metadata.eq(&agent.metadata),
            agents::active_binding_id.eq(agent.active_binding_id),
            agents::revision.eq(agent.revision),
            agents::created_at.eq(agent.created_at),
            agents::updated_at.eq(agent.updated_at),
        ))
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds an agent.
pub async fn find(tx: &mut TenantTx, id: AgentId) -> Result<Option<Agent>> {
    Ok(agents::table
        .find((tx.tenant(), id))
        .select(Agent::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Finds an agent, and whether a worker that was seen after `alive_after` can take its next session.
pub async fn find_with_availability(
    tx: &mut TenantTx,
    id: AgentId,
    alive_after: DateTime<Utc>,
) -> Result<Option<(Agent, Availability)>> {
    Ok(agents::table
        .find((tx.tenant(), id))
        .select((
            Agent::as_select(),
            workers::availability_of_agent(alive_after),
        ))
        .limit(1)
        .prepared()
        .get_result(tx)
        .await
        .optional()?)
}

/// Finds and locks an agent.
pub async fn lock(tx: &mut TenantTx, id: AgentId) -> Result<Option<Agent>> {
    Ok(agents::table
        .find((tx.tenant(), id))
        .select(Agent::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// Finds an agent and locks it against deletion, in shared mode.
pub async fn lock_shared(tx: &mut TenantTx, id: AgentId) -> Result<Option<Agent>> {
    Ok(agents::table
        .find((tx.tenant(), id))
        .select(Agent::as_select())
        .for_key_share()
        .first(tx)
        .await
        .optional()?)
}

/// A page of agents.
pub async fn list(tx: &mut TenantTx, window: Window, filter: Filter) -> Result<Rows<Agent>> {
    let tenant = tx.tenant();
    let query = |window: Window| {
        let filter = filter.clone();
        let mut query = agents::table
            .filter(agents::tenant_id.eq(tenant))
            .filter(agents::id.lt(window.below()))
            .order(agents::id.desc())
            .limit(window.fetch())
            .select(Agent::as_select())
            .into_boxed();
        if let Some(name) = filter.name {
            query = query.filter(starts_with(lower(agents::name), lower(name)));
        }
        if let Some(worker_name) = filter.worker_name {
            query = query.filter(agents::worker_name.eq(worker_name));
        }
        query
    };
    let total = window.total(tx, query).await?;
    let rows = window.cut(query(window).load(tx).await?);
    Ok(rows.with_total(total))
}

/// Stores the mutable columns of `agent`.
pub async fn update(tx: &mut TenantTx, agent: &Agent) -> Result<()> {
    diesel::update(agents::table.find((tx.tenant(), agent.id)))
        .set((
            agents::name.eq(&agent.name),
            agents::description.eq(&agent.description),
            agents::worker_name.eq(&agent.worker_name),
            agents::metadata.eq(&agent.metadata),
            agents::active_binding_id.eq(agent.active_binding_id),
            agents::last_binding.eq(agent.last_binding),
            agents::revision.eq(agent.revision),
            agents::updated_at.eq(agent.updated_at),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// The sessions that have not ended and run the agent, or have it attached; 20 at most. The agent's row must be locked.
pub async fn live_sessions(tx: &mut TenantTx, id: AgentId) -> Result<Vec<SessionId>> {
    let attached = agent_runs::table
        .filter(agent_runs::tenant_id.eq(tx.tenant()))
        .filter(agent_runs::agent_id.eq(id))
        .select(agent_runs::session_id);
    Ok(sessions::table
        .filter(sessions::tenant_id.eq(tx.tenant()))
        .filter(sessions::agent_id.eq(id).or(sessions::id.eq_any(attached)))
        .filter(sessions::state.ne_all(["ended", "failed"]))
        .limit(20)
        .select(sessions::id)
        .load(tx)
        .await?)
}

/// Deletes an agent with its bindings.
pub async fn delete(tx: &mut TenantTx, id: AgentId) -> Result<()> {
    diesel::delete(agents::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}
