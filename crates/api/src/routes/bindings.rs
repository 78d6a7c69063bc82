//! Bindings, which pin the versions that an agent runs, and their activations.

use patchbay_domain::{
    ActivationId, AgentId, ArtifactId, BindingId, PromptVersionId, RuntimeConfigVersionId,
    TenantId, ToolVersionId, VersionId, artifact::ArtifactKind, knowledge::KnowledgeSettings,
    text::Note,
};
use patchbay_persistence::{TenantTx, agents, bindings};
use patchbay_service::{
    Blocker, Code, Error, Result, UnitOfWork,
    audit::{Change, Event},
    bindings::{activate as activate_binding, find_agent, insert, lock_agent, validate_knowledge},
    idempotency::Idempotent,
    workers,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, NoFilter, Path, Query, flag,
        scopes::{AgentsRead, AgentsWrite},
    },
    openapi::{Doc, Tag, vocabulary::WarningCode},
    response::{Created, Deleted, Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// An immutable set of versions that an agent can run.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40",
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20",
    "number": 1,
    "prompt_version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f31",
    "runtime_config_version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f32",
    "tool_version_ids": [],
    "pins": [
        {"kind": "prompt", "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f30", "name": "reception", "version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f31", "number": 3},
        {"kind": "runtime_config", "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f34", "name": "fast", "version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f32", "number": 1}
    ],
    "knowledge": {"mode": "hybrid", "top_k": 5, "min_score": null, "file_ids": null},
    "active": true,
    "note": "first release",
    "author": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12",
    "created_at": "2026-11-23T20:00:00Z"
}))]
pub struct Binding {
    /// Id of the binding.
    id: BindingId,
    /// Id of the agent.
    agent_id: AgentId,
    /// Number of the binding, counted from 1 for each agent and never reused.
    #[schema(minimum = 1)]
    number: i32,
    /// Id of the prompt version.
    prompt_version_id: PromptVersionId,
    /// Id of the runtime config version.
    runtime_config_version_id: RuntimeConfigVersionId,
    /// Ids of the tool versions.
    #[schema(max_items = 50)]
    tool_version_ids: Vec<ToolVersionId>,
    /// The versions by name and number: the prompt's, the runtime config's and the tools'.
    #[schema(max_items = 52)]
    pins: Vec<Pin>,
    /// Search settings for the agent's files; null if the agent cannot search them.
    knowledge: Option<KnowledgeSettings>,
    /// Whether this is the active binding, which new sessions run.
    active: bool,
    /// Note on why the binding was created.
    #[schema(max_length = 1000)]
    note: String,
    /// Creator of the binding: `operator` or the id of an API key.
    #[schema(max_length = 64)]
    author: String,
    /// Time at which the binding was created.
    created_at: Timestamp,
    /// What no live worker of the agent can run. Only in the response to `activateBinding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 20)]
    warnings: Option<Vec<Warning>>,
}

/// A warning of something that will not work as things are.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "worker_lacks",
    "message": "No live worker of the agent can run the binding: the nearest one lacks the plugin `deepgram`."
}))]
pub struct Warning {
    /// Code of the warning. New codes may be added.
    #[schema(value_type = WarningCode)]
    code: String,
    /// What will not work, and why.
    #[schema(max_length = 500)]
    message: String,
}

/// Options of an activation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateOptions {
    /// Whether to refuse a binding that no live worker can run, instead of warning.
    #[serde(default, deserialize_with = "flag")]
    strict: Option<bool>,
}

impl Resource for Binding {}

/// A version that a binding pins.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "prompt", "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f30", "name": "reception",
    "version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f31", "number": 3
}))]
pub struct Pin {
    /// What it is a version of.
    kind: ArtifactKind,
    /// Id of the prompt, runtime config or tool.
    id: ArtifactId,
    /// Name of the prompt, runtime config or tool.
    #[schema(max_length = 200)]
    name: String,
    /// Id of the version.
    version_id: VersionId,
    /// Number of the version.
    #[schema(minimum = 1)]
    number: i32,
}

impl From<bindings::Pin> for Pin {
    fn from(row: bindings::Pin) -> Self {
        let bindings::Pin {
            binding_id: _,
            kind,
            artifact_id,
            name,
            version_id,
            number,
        } = row;
        Self {
            kind,
            id: artifact_id,
            name,
            version_id,
            number,
        }
    }
}

impl Binding {
    fn new(
        row: bindings::Binding,
        pins: Vec<bindings::Pin>,
        active: Option<BindingId>,
    ) -> Result<Self> {
        let tools = pins.iter().filter(|pin| pin.kind == ArtifactKind::Tool);
        let bindings::Binding {
            tenant_id: _,
            id,
            agent_id,
            number,
            prompt_version_id,
            runtime_config_version_id,
            note,
            author,
            created_at,
            knowledge,
        } = row;
        let knowledge = knowledge.map(serde_json::from_value).transpose();
        Ok(Self {
            id,
            agent_id,
            number,
            prompt_version_id,
            runtime_config_version_id,
            tool_version_ids: tools
                .map(|pin| ToolVersionId::new(pin.version_id.uuid()))
                .collect(),
            pins: pins.into_iter().map(Pin::from).collect(),
            knowledge: knowledge.map_err(Error::internal)?,
            active: active == Some(id),
            note,
            author,
            created_at: created_at.into(),
            warnings: None,
        })
    }
}

/// Request to create a binding.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "prompt_version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f31",
    "runtime_config_version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f32",
    "tool_version_ids": ["0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f33"],
    "note": "first release"
}))]
pub struct CreateBinding {
    /// Id of a prompt version of this tenant.
    prompt_version_id: PromptVersionId,
    /// Id of a runtime config version of this tenant.
    runtime_config_version_id: RuntimeConfigVersionId,
    /// Ids of tool versions of this tenant. Their function names must be unique.
    #[serde(default)]
    #[schema(max_items = 50)]
    tool_version_ids: Vec<ToolVersionId>,
    /// Search settings for the files attached to the agent. If given, the model gets a tool `search_knowledge`.
    knowledge: Option<KnowledgeSettings>,
    /// Note on why the binding is created.
    #[serde(default)]
    note: Note,
}

/// An activation of a binding.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f41",
    "binding_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40",
    "binding_number": 1,
    "author": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12",
    "activated_at": "2026-11-23T20:00:00Z"
}))]
pub struct Activation {
    /// Id of the activation.
    id: ActivationId,
    /// Id of the binding, which may have been deleted since.
    binding_id: BindingId,
    /// Number of the binding.
    #[schema(minimum = 1)]
    binding_number: i32,
    /// Who activated the binding: `operator` or the id of an API key.
    #[schema(max_length = 64)]
    author: String,
    /// Time of the activation. The binding stayed active until the next activation.
    activated_at: Timestamp,
}

impl Warning {
    fn of_worker(message: String) -> Self {
        Self {
            code: "worker_lacks".to_owned(),
            message,
        }
    }
}

impl From<bindings::Activation> for Activation {
    fn from(row: bindings::Activation) -> Self {
        let bindings::Activation {
            tenant_id: _,
            id,
            agent_id: _,
            binding_id,
            binding_number,
            author,
            activated_at,
        } = row;
        Self {
            id,
            binding_id,
            binding_number,
            author,
            activated_at: activated_at.into(),
        }
    }
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Bindings);
    let all = "/api/tenants/{tenant_id}/agents/{agent_id}/bindings";
    let one = "/api/tenants/{tenant_id}/agents/{agent_id}/bindings/{binding_id}";
    api.add(
        all,
        create,
        Doc::post("createBinding", "Create a binding").about(
            "Pins a prompt version, a runtime config version and any number of tool versions. \
             Their specs may have at most 2 MiB in total. Sessions are not affected until the \
             binding is activated.",
        ),
    );
    api.add(
        all,
        list,
        Doc::get("listBindings", "List bindings")
            .about("Returns the bindings of the agent, newest first."),
    );
    api.add(
        one,
        get,
        Doc::get("getBinding", "Get a binding")
            .about("Returns the binding and whether it is active."),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteBinding", "Delete a binding")
            .about(
                "Deletes the binding. The active binding cannot be deleted. Past sessions keep the \
                 configuration they ran.",
            )
            .errors(&[Code::BindingActive]),
    );
    api.add(
        "/api/tenants/{tenant_id}/agents/{agent_id}/bindings/{binding_id}/activate",
        activate,
        Doc::post("activateBinding", "Activate a binding").about(
            "Makes the binding the active one, which new sessions run. An agent has at most one \
             active binding. To roll back, activate an older binding. `If-Match` takes the ETag of \
             the agent. If no live worker of the agent can run the binding, it is activated \
             nevertheless, and `warnings` name what is missing; with `strict=true` it is refused.",
        )
        .errors(&[Code::NoCapableWorker]),
    );
    api.add(
        "/api/tenants/{tenant_id}/agents/{agent_id}/activations",
        list_activations,
        Doc::get("listActivations", "List activations")
            .about("Returns the activation history of the agent, newest first."),
    );
}

async fn create(
    caller: Caller<AgentsWrite>,
    Path((tenant, agent_id)): Path<(TenantId, AgentId)>,
    Json(body): Json<CreateBinding>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<Binding>>> {
    let files = validate_knowledge(body.knowledge.as_ref())?;
    let (mut row, mut tools) = new_rows(&caller, (tenant, agent_id), body)?;
    let path = format!("/api/tenants/{tenant}/agents/{agent_id}/bindings");
    let create = async |tx: &mut UnitOfWork| {
        let mut agent = lock_agent(tx, agent_id).await?;
        insert(tx, &mut agent, &mut row, (&mut tools, &files)).await?;
        let pins = pins(tx, row.id).await?;
        let value = Binding::new(row, pins, None)?;
        let event = Event::created("binding", value.id, &value);
        let location = format!("{path}/{}", value.id);
        Ok(Change::one(Created { location, value }, event))
    };
    caller.once(&key, create).await
}

/// Builds the row of a new binding and its tool versions. The number is assigned in the transaction.
fn new_rows(
    caller: &Caller<AgentsWrite>,
    (tenant_id, agent_id): (TenantId, AgentId),
    body: CreateBinding,
) -> Result<(bindings::Binding, Vec<ToolVersionId>)> {
    let knowledge = body.knowledge.map(serde_json::to_value).transpose();
    let row = bindings::Binding {
        tenant_id,
        id: caller.service.clock.new_id(),
        agent_id,
        number: 0,
        prompt_version_id: body.prompt_version_id,
        runtime_config_version_id: body.runtime_config_version_id,
        note: body.note.into_inner(),
        author: caller.origin.actor.id(),
        created_at: caller.service.clock.now(),
        knowledge: knowledge.map_err(Error::internal)?,
    };
    Ok((row, body.tool_version_ids))
}

async fn list(
    caller: Caller<AgentsRead>,
    Path((_, agent_id)): Path<(TenantId, AgentId)>,
    list: List<NoFilter>,
) -> Result<Page<Binding>> {
    let mut tx = caller.read().await?;
    let active = find_agent(&mut tx, agent_id).await?.active_binding_id;
    let rows = bindings::list(&mut tx, agent_id, list.window).await?;
    let ids: Vec<_> = rows.rows.iter().map(|row| row.id).collect();
    let mut pins = bindings::pins(&mut tx, &ids).await?;
    tx.finish();
    let map = |row: bindings::Binding| {
        let pins = pins.remove(&row.id).unwrap_or_default();
        Binding::new(row, pins, active)
    };
    Page::try_new(rows, |row| row.id.uuid(), map)
}

async fn find_binding(tx: &mut TenantTx, agent: &agents::Agent, id: BindingId) -> Result<Binding> {
    let found = bindings::find(tx, agent.id, id).await?;
    let row = found.ok_or_else(Error::not_found)?;
    let pins = pins(tx, id).await?;
    Binding::new(row, pins, agent.active_binding_id)
}

async fn pins(tx: &mut TenantTx, id: BindingId) -> Result<Vec<bindings::Pin>> {
    let pins = bindings::pins(tx, &[id]).await?.remove(&id);
    Ok(pins.unwrap_or_default())
}

async fn get(
    caller: Caller<AgentsRead>,
    Path((_, agent_id, id)): Path<(TenantId, AgentId, BindingId)>,
) -> Result<Entity<Binding>> {
    let mut tx = caller.read().await?;
    let agent = find_agent(&mut tx, agent_id).await?;
    let binding = find_binding(&mut tx, &agent, id).await?;
    tx.finish();
    Ok(Entity(binding))
}

async fn delete(
    caller: Caller<AgentsWrite>,
    Path((_, agent_id, id)): Path<(TenantId, AgentId, BindingId)>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let agent = lock_agent(tx, agent_id).await?;
            let binding = find_binding(tx, &agent, id).await?;
            let blocker = binding.active.then(|| Blocker {
                name: Some(agent.name.clone()),
                ..Blocker::unnamed("agent", agent_id.uuid())
            });
            let detail = "Activate another binding of the agent first.";
            Error::require_unblocked(Code::BindingActive, detail, blocker)?;
            bindings::delete(tx, id).await?;
            let event = Event::deleted("binding", id, &binding);
            Ok(Change::one(Deleted, event))
        })
        .await
}

async fn activate(
    caller: Caller<AgentsWrite>,
    Path((_, agent_id, id)): Path<(TenantId, AgentId, BindingId)>,
    Query(options): Query<ActivateOptions>,
    if_match: IfMatch,
) -> Result<Entity<Binding>> {
    let service = &caller.service;
    let binding = caller
        .change(async |tx| {
            let mut agent = lock_agent(tx, agent_id).await?;
            let mut binding = find_binding(tx, &agent, id).await?;
            if_match.check(agent.revision)?;
            let config = binding.runtime_config_version_id;
            let obstacles = workers::obstacles(service, tx, &agent.worker_name, config).await?;
            if options.strict == Some(true) {
                workers::require_none(&obstacles)?;
            }
            binding.warnings = Some(obstacles.into_iter().map(Warning::of_worker).collect());
            if binding.active {
                return Ok(Change::without_events(binding));
            }
            let event = activate_binding(tx, &mut agent, (id, binding.number)).await?;
            binding.active = true;
            Ok(Change::one(binding, event))
        })
        .await?;
    Ok(Entity(binding))
}

async fn list_activations(
    caller: Caller<AgentsRead>,
    Path((_, agent_id)): Path<(TenantId, AgentId)>,
    list: List<NoFilter>,
) -> Result<Page<Activation>> {
    let mut tx = caller.read().await?;
    find_agent(&mut tx, agent_id).await?;
    let rows = bindings::list_activations(&mut tx, agent_id, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Activation::from))
}
