//! Bindings of agents to exact versions, and the history of activations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    ActivationId, AgentId, BindingId, PromptVersionId, RawJson, RuntimeConfigVersionId, TenantId,
    ToolVersionId, VersionId,
};
use serde_json::Value;

use crate::{
    Result, Rows, TenantTx, Window,
    schema::{activations, artifact_versions, binding_tools, bindings},
};

/// One immutable binding.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = bindings, check_for_backend(diesel::pg::Pg))]
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

/// The tool versions of these bindings, each in order.
pub async fn tools(
    tx: &mut TenantTx,
    bindings: &[BindingId],
) -> Result<HashMap<BindingId, Vec<ToolVersionId>>> {
    let rows: Vec<(BindingId, ToolVersionId)> = binding_tools::table
        .filter(binding_tools::tenant_id.eq(tx.tenant()))
        .filter(binding_tools::binding_id.eq_any(bindings))
        .order(binding_tools::tool_version_id)
        .select((binding_tools::binding_id, binding_tools::tool_version_id))
        .load(tx)
        .await?;
    let mut tools: HashMap<_, Vec<_>> = HashMap::new();
    for (binding, version) in rows {
        tools.entry(binding).or_default().push(version);
    }
    Ok(tools)
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
