//! Bindings of agents to exact versions, and the history of activations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    ActivationId, AgentId, ArtifactId, BindingId, PromptVersionId, RawJson, RuntimeConfigVersionId,
    TenantId, ToolVersionId, VersionId, artifact::ArtifactKind,
};
use serde_json::Value;

use crate::{
    Result, Rows, TenantTx, Window,
    prepared::Prepare as _,
    schema::{activations, artifact_versions, binding_tools, bindings},
};

/// One immutable binding.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = bindings, check_for_backend(diesel::pg::Pg))]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "columns")]
pub struct Binding {
    pub tenant_id: TenantId,
    pub id: BindingId,
    pub agent_id: AgentId,
    pub number: i32,
    pub prompt_version_id: PromptVersionId,
    pub runtime_config_version_id: RuntimeConfigVersionId,
    pub note: String,
    pub author: String,
    pub created_at: DateTime<Utc>,
    pub knowledge: Option<Value>,
}

/// One entry of the history: this binding was active from `activated_at` on.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = activations, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Activation {
    pub tenant_id: TenantId,
    pub id: ActivationId,
    pub agent_id: AgentId,
    pub binding_id: BindingId,
    pub binding_number: i32,
    pub author: String,
    pub activated_at: DateTime<Utc>,
}

/// Inserts a binding, numbered from the agent's counter (whose row must be locked), with its tools.
pub async fn insert(tx: &mut TenantTx, binding: &Binding, tools: &[ToolVersionId]) -> Result<()> {
    diesel::insert_into(bindings::table)
        .values(binding)
        .execute(tx)
        .await?;
    let row = |version: &ToolVersionId| {
        (
            binding_tools::tenant_id.eq(binding.tenant_id),
            binding_tools::binding_id.eq(binding.id),
            binding_tools::tool_version_id.eq(*version),
        )
    };
    let rows: Vec<_> = tools.iter().map(row).collect();
    if !rows.is_empty() {
        diesel::insert_into(binding_tools::table)
            .values(rows)
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// A version that a binding names, with the artifact that it is a version of.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Pin {
    #[diesel(sql_type = sql_types::Uuid)]
    pub binding_id: BindingId,
    #[diesel(sql_type = sql_types::Text)]
    pub kind: ArtifactKind,
    #[diesel(sql_type = sql_types::Uuid)]
    pub artifact_id: ArtifactId,
    #[diesel(sql_type = sql_types::Text)]
    pub name: String,
    #[diesel(sql_type = sql_types::Uuid)]
    pub version_id: VersionId,
    #[diesel(sql_type = sql_types::Integer)]
    pub number: i32,
}

/// The versions that these bindings name, each binding's in the order of their ids.
pub async fn pins(
    tx: &mut TenantTx,
    bindings: &[BindingId],
) -> Result<HashMap<BindingId, Vec<Pin>>> {
    let query = "SELECT named.binding_id, a.kind, a.id AS artifact_id, a.name, v.id AS version_id, v.number \
                 FROM (SELECT b.id AS binding_id, unnest(ARRAY[b.prompt_version_id, b.runtime_config_version_id]) AS version_id \
                       FROM bindings b WHERE b.tenant_id = $1 AND b.id = ANY($2) \
                       UNION ALL \
                       SELECT t.binding_id, t.tool_version_id \
                       FROM binding_tools t WHERE t.tenant_id = $1 AND t.binding_id = ANY($2)) named \
                 JOIN artifact_versions v ON v.tenant_id = $1 AND v.id = named.version_id \
                 JOIN artifacts a ON a.tenant_id = $1 AND a.id = v.artifact_id \
                 ORDER BY v.id";
    let rows: Vec<Pin> = diesel::sql_query(query)
        .bind::<sql_types::Uuid, _>(tx.tenant())
        .bind::<sql_types::Array<sql_types::Uuid>, _>(bindings)
        .prepared()
        .load(tx)
        .await?;
    let mut pins: HashMap<_, Vec<_>> = HashMap::new();
    for pin in rows {
        pins.entry(pin.binding_id).or_default().push(pin);
    }
    Ok(pins)
}

/// A binding that names a version of an artifact.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct Use {
    #[diesel(sql_type = sql_types::Uuid)]
    pub binding_id: BindingId,
    #[diesel(sql_type = sql_types::Integer)]
    pub binding_number: i32,
    #[diesel(sql_type = sql_types::Uuid)]
    pub agent_id: AgentId,
    #[diesel(sql_type = sql_types::Text)]
    pub agent_name: String,
    #[diesel(sql_type = sql_types::Bool)]
    pub active: bool,
    #[diesel(sql_type = sql_types::Uuid)]
    pub version_id: VersionId,
    #[diesel(sql_type = sql_types::Integer)]
    pub version_number: i32,
}

/// A page of the bindings that name a version of this artifact.
pub async fn uses(tx: &mut TenantTx, artifact: ArtifactId, window: Window) -> Result<Rows<Use>> {
    let query = "WITH versions AS ( \
                     SELECT id, number FROM artifact_versions WHERE tenant_id = $1 AND artifact_id = $2), \
                 named AS ( \
                     SELECT b.id AS binding_id, v.id AS version_id, v.number \
                     FROM versions v JOIN bindings b ON b.tenant_id = $1 \
                         AND v.id IN (b.prompt_version_id, b.runtime_config_version_id) \
                     UNION ALL \
                     SELECT t.binding_id, v.id, v.number \
                     FROM versions v JOIN binding_tools t ON t.tenant_id = $1 AND t.tool_version_id = v.id) \
                 SELECT b.id AS binding_id, b.number AS binding_number, a.id AS agent_id, a.name AS agent_name, \
                        a.active_binding_id IS NOT DISTINCT FROM b.id AS active, \
                        n.version_id, n.number AS version_number \
                 FROM named n \
                 JOIN bindings b ON b.tenant_id = $1 AND b.id = n.binding_id \
                 JOIN agents a ON a.tenant_id = $1 AND a.id = b.agent_id \
                 WHERE b.id < $3 ORDER BY b.id DESC LIMIT $4";
    let rows = diesel::sql_query(query)
        .bind::<sql_types::Uuid, _>(tx.tenant())
        .bind::<sql_types::Uuid, _>(artifact)
        .bind::<sql_types::Uuid, _>(window.below())
        .bind::<sql_types::BigInt, _>(window.fetch())
        .prepared()
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

/// Finds a binding of an agent.
pub async fn find(tx: &mut TenantTx, agent: AgentId, id: BindingId) -> Result<Option<Binding>> {
    Ok(bindings::table
        .find((tx.tenant(), id))
        .filter(bindings::agent_id.eq(agent))
        .select(Binding::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// A page of an agent's bindings.
pub async fn list(tx: &mut TenantTx, agent: AgentId, window: Window) -> Result<Rows<Binding>> {
    let rows = bindings::table
        .filter(bindings::tenant_id.eq(tx.tenant()))
        .filter(bindings::agent_id.eq(agent))
        .filter(bindings::id.lt(window.below()))
        .order(bindings::id.desc())
        .limit(window.fetch())
        .select(Binding::as_select())
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

/// Deletes a binding.
pub async fn delete(tx: &mut TenantTx, id: BindingId) -> Result<()> {
    diesel::delete(bindings::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}

/// The specs that a binding names.
#[expect(missing_docs, reason = "the names say it")]
pub struct Specs {
    pub prompt: RawJson,
    pub runtime: RawJson,
    pub tools: Vec<RawJson>,
}

/// The specs that a binding names, its tools included.
pub async fn specs(tx: &mut TenantTx, binding: &Binding) -> Result<Option<Specs>> {
    let tools = binding_tools::table
        .filter(binding_tools::tenant_id.eq(tx.tenant()))
        .filter(binding_tools::binding_id.eq(binding.id))
        .select(binding_tools::tool_version_id);
    let prompt = VersionId::from(binding.prompt_version_id);
    let runtime = VersionId::from(binding.runtime_config_version_id);
    let named = artifact_versions::id
        .eq_any([prompt, runtime])
        .or(artifact_versions::id.eq_any(tools));
    let mut versions: HashMap<VersionId, RawJson> = artifact_versions::table
        .filter(artifact_versions::tenant_id.eq(tx.tenant()))
        .filter(named)
        .select((artifact_versions::id, artifact_versions::spec))
        .load::<(VersionId, RawJson)>(tx)
        .await?
        .into_iter()
        .collect();
    let prompt = versions.remove(&prompt);
    let runtime = versions.remove(&runtime);
    let tools = versions.into_values().collect();
    Ok(prompt.zip(runtime).map(|(prompt, runtime)| Specs {
        prompt,
        runtime,
        tools,
    }))
}

/// Adds to the history of activations.
pub async fn record_activation(tx: &mut TenantTx, activation: &Activation) -> Result<()> {
    diesel::insert_into(activations::table)
        .values(activation)
        .execute(tx)
        .await?;
    Ok(())
}

/// A page of an agent's activations.
pub async fn list_activations(
    tx: &mut TenantTx,
    agent: AgentId,
    window: Window,
) -> Result<Rows<Activation>> {
    let rows = activations::table
        .filter(activations::tenant_id.eq(tx.tenant()))
        .filter(activations::agent_id.eq(agent))
        .filter(activations::id.lt(window.below()))
        .order(activations::id.desc())
        .limit(window.fetch())
        .select(Activation::as_select())
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

/// The agent of a binding.
pub async fn agent_of(tx: &mut TenantTx, id: BindingId) -> Result<Option<AgentId>> {
    Ok(bindings::table
        .find((tx.tenant(), id))
        .select(bindings::agent_id)
        .first(tx)
        .await
        .optional()?)
}
