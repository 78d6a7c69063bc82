//! Routes of agents.

use patchbay_domain::{
    AgentId, BindingId, Invalid, Metadata, TenantId,
    text::{Description, Name},
    worker::Availability,
};
use patchbay_persistence::{agents, idempotency};
use patchbay_service::{
    Code, Error, Result,
    agents::{require_unmapped, require_unused},
    audit::{Change, Event},
    idempotency::Idempotent,
    workers::alive_after,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, Patch, Path,
        scopes::{AgentsRead, AgentsWrite},
    },
    openapi::{Doc, Tag},
    response::{Created, Deleted, Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// A voice AI agent.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "name": "reception",
    "description": "Answers the main number.",
    "worker_name": "patchbay-agent",
    "metadata": {},
    "active_binding_id": null,
    "revision": 1,
    "created_at": "2026-11-23T20:00:00Z",
    "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct Agent {
    /// Id of the agent.
    id: AgentId,
    /// Name, unique within the tenant.
    #[schema(max_length = 200)]
    name: String,
    /// Description of the agent.
    #[schema(max_length = 2000)]
    description: String,
    /// LiveKit agent name of the workers to which the agent is dispatched.
    #[schema(max_length = 200)]
    worker_name: String,
    /// Custom metadata, a JSON object of at most 16 KiB.
    metadata: Metadata,
    /// Id of the binding that new sessions run; null before the first activation.
    active_binding_id: Option<BindingId>,
    /// Revision number, incremented with every change.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the agent was created.
    created_at: Timestamp,
    /// Time at which the agent was last changed.
    updated_at: Timestamp,
    /// Whether a registered worker can take the agent's next session. Only in the response to `getAgent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    availability: Option<Availability>,
}

impl Resource for Agent {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl From<agents::Agent> for Agent {
    fn from(row: agents::Agent) -> Self {
        let agents::Agent {
            tenant_id: _,
            id,
            name,
            description,
            worker_name,
            metadata,
            active_binding_id,
            last_binding: _,
            revision,
            created_at,
            updated_at,
        } = row;
        Self {
            id,
            name,
            description,
            worker_name,
            metadata,
            active_binding_id,
            revision,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
            availability: None,
        }
    }
}

/// Request to create an agent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "reception", "description": "Answers the main number."}))]
pub struct CreateAgent {
    /// Name, unique within the tenant.
    name: Name,
    /// Description of the agent.
    #[serde(default)]
    description: Description,
    /// LiveKit agent name of the workers: one of the installation's worker names, the first one by default.
    worker_name: Option<Name>,
    /// Custom metadata, a JSON object of at most 16 KiB.
    #[serde(default)]
    metadata: Metadata,
}

/// Request to update an agent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "Answers the main number at night."}))]
pub struct PatchAgent {
    /// Name, unique within the tenant.
    #[serde(default)]
    name: Patch<Name>,
    /// Description of the agent; null clears it.
    #[serde(default)]
    description: Patch<Option<Description>>,
    /// LiveKit agent name of the workers: one of the installation's worker names.
    #[serde(default)]
    worker_name: Patch<Name>,
    /// Metadata to merge into the stored metadata; null clears it.
    #[serde(default)]
    metadata: Patch<Option<Metadata>>,
}

impl PatchAgent {
    fn apply(self, app: &App, row: &mut agents::Agent) -> Result<()> {
        self.name.apply(&mut row.name, Name::into_inner);
        let or_empty = |text: Option<Description>| text.unwrap_or_default().into_inner();
        self.description.apply(&mut row.description, or_empty);
        if let Patch::To(name) = self.worker_name {
            row.worker_name = check_worker_name(app, Some(name))?;
        }
        if let Patch::To(patch) = self.metadata {
            row.metadata = row.metadata.merged(patch)?;
        }
        Ok(())
    }
}

/// Filters for listing agents.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentFilter {
    /// Only agents whose name begins with this, in upper or lower case.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Only agents with this worker name.
    #[schema(max_length = 200)]
    worker_name: Option<String>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Agents);
    let (all, one) = (
        "/api/tenants/{tenant_id}/agents",
        "/api/tenants/{tenant_id}/agents/{agent_id}",
    );
    api.add(
        all,
        create,
        Doc::post("createAgent", "Create an agent")
            .about("Creates an agent. It can run once one of its bindings is active.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        all,
        list,
        Doc::get("listAgents", "List agents")
            .about("Returns the agents of the tenant, newest first."),
    );
    api.add(
        one,
        get,
        Doc::get("getAgent", "Get an agent")
            .about("Returns the agent with the id of its active binding, and whether a worker can take its next session."),
    );
    api.add(
        one,
        patch,
        Doc::patch("updateAgent", "Update an agent")
            .about(
                "Changes the given fields. Existing sessions keep the configuration with which \
                 they were created.",
            )
            .errors(&[Code::NameTaken, Code::AgentInUse]),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteAgent", "Delete an agent")
            .about(
                "Deletes the agent with its bindings. Its name can be reused, and past sessions \
                 keep its id. Fails while the agent has a session that has not ended, or an \
                 inbound mapping refers to it.",
            )
            .errors(&[Code::AgentInUse]),
    );
}

/// Returns the worker name, or the installation's first one by default. Fails if the installation has no such worker.
fn check_worker_name(app: &App, name: Option<Name>) -> Result<String> {
    let worker_names = &app.settings.worker_names;
    match name {
        None => Ok(worker_names.first().cloned().unwrap_or_default()),
        Some(name) if worker_names.iter().any(|worker_name| *worker_name == *name) => {
            Ok(name.into_inner())
        }
        Some(_) => {
            let message = format!(
                "must be one of the worker names of the installation: {}",
                worker_names.join(", ")
            );
            let invalid = Invalid::new("unknown_worker", message);
            Err(Error::invalid_at("/worker_name", invalid))
        }
    }
}

async fn create(
    caller: Caller<AgentsWrite>,
    Json(body): Json<CreateAgent>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<Agent>>> {
    let tenant = caller.tenant()?;
    let now = caller.service.clock.now();
    let row = agents::Agent {
        tenant_id: tenant,
        id: caller.service.clock.new_id(),
        name: body.name.into_inner(),
        description: body.description.into_inner(),
        worker_name: check_worker_name(&caller.app, body.worker_name)?,
        metadata: body.metadata,
        active_binding_id: None,
        last_binding: 0,
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    caller
        .once(&key, async |tx| {
            agents::insert(tx, &row).await?;
            let value = Agent::from(row);
            let event = Event::created("agent", value.id, &value);
            let location = format!("/api/tenants/{tenant}/agents/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await
}

async fn list(caller: Caller<AgentsRead>, list: List<AgentFilter, true>) -> Result<Page<Agent>> {
    let filter = agents::Filter {
        name: list.filter.name.clone(),
        worker_name: list.filter.worker_name.clone(),
    };
    let mut tx = caller.read().await?;
    let rows = agents::list(&mut tx, list.window, filter).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Agent::from))
}

async fn get(
    caller: Caller<AgentsRead>,
    Path((_, id)): Path<(TenantId, AgentId)>,
) -> Result<Entity<Agent>> {
    let alive_after = alive_after(&caller.service);
    let mut tx = caller.read().await?;
    let found = agents::find_with_availability(&mut tx, id, alive_after).await?;
    tx.finish();
    let (row, availability) = found.ok_or_else(Error::not_found)?;
    Ok(Entity(Agent {
        availability: Some(availability),
        ..row.into()
    }))
}

async fn patch(
    caller: Caller<AgentsWrite>,
    Path((_, id)): Path<(TenantId, AgentId)>,
    if_match: IfMatch,
    Json(body): Json<PatchAgent>,
) -> Result<Entity<Agent>> {
    let agent = caller
        .change(async |tx| {
            let found = agents::lock(tx, id).await?;
            let mut row = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            let before = Agent::from(row.clone());
            let worker = row.worker_name.clone();
            body.apply(&caller.app, &mut row)?;
            if worker != row.worker_name {
                let detail = "An inbound mapping uses the agent with its current worker name.";
                require_unmapped(tx, id, detail).await?;
            }
            row.revision += 1;
            row.updated_at = caller.service.clock.now();
            agents::update(tx, &row).await?;
            let after = Agent::from(row);
            let event = Event::updated("agent", id, &before, &after);
            Ok(Change::one(after, event))
        })
        .await?;
    Ok(Entity(agent))
}

async fn delete(
    caller: Caller<AgentsWrite>,
    Path((_, id)): Path<(TenantId, AgentId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let found = agents::lock(tx, id).await?;
            let row = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            require_unused(tx, id).await?;
            agents::delete(tx, id).await?;
            let path = format!("/api/tenants/{}/agents/{id}", tx.tenant());
            idempotency::clear_own_data(tx, &path, "metadata").await?;
            let event = Event::deleted("agent", id, &Agent::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}
