//! Bindings of agents: creation, with validation of the versions and knowledge settings that they combine, and
//! activation.

use std::collections::HashSet;

use patchbay_domain::{
    AgentId, BindingId, FileId, Invalid, ToolVersionId, VersionId, artifact::ArtifactKind,
    knowledge::KnowledgeSettings,
};
use patchbay_persistence::{
    TenantTx, agents,
    artifacts::{self, Outline},
    bindings::{self, Activation, Binding},
};
use serde_json::json;

use crate::{Error, Result, UnitOfWork, audit::Event, knowledge::files::require_files};

/// Maximum number of tools of one binding.
const MAX_TOOLS: usize = 50;

/// Maximum total size in bytes of the specs that a binding pins.
const MAX_SPEC_BYTES: i32 = 2 << 20;

/// Name of the function with which a model searches its agent's knowledge base.
const SEARCH_TOOL: &str = "search_knowledge";

/// Finds an agent, or fails with `not_found`.
pub async fn find_agent(tx: &mut TenantTx, id: AgentId) -> Result<agents::Agent> {
    let found = agents::find(tx, id).await?;
    found.ok_or_else(Error::not_found)
}

/// Finds and locks an agent, or fails with `not_found`.
pub async fn lock_agent(tx: &mut TenantTx, id: AgentId) -> Result<agents::Agent> {
    let found = agents::lock(tx, id).await?;
    found.ok_or_else(Error::not_found)
}

/// Inserts a binding of the locked agent with its tool versions, assigns its number, and sorts the tools as they are
/// read. `files` are those of its knowledge settings.
pub async fn insert(
    tx: &mut TenantTx,
    agent: &mut agents::Agent,
    row: &mut Binding,
    (tools, files): (&mut [ToolVersionId], &[FileId]),
) -> Result<()> {
    require_versions(tx, row, tools).await?;
    require_files(tx, files, "/knowledge/file_ids").await?;
    agent.last_binding += 1;
    agents::update(tx, agent).await?;
    row.number = agent.last_binding;
    bindings::insert(tx, row, tools).await?;
    tools.sort_by_key(|version| version.uuid());
    Ok(())
}

/// Makes a binding the active one of the locked agent, and returns the audit event.
pub async fn activate(
    unit: &mut UnitOfWork,
    agent: &mut agents::Agent,
    (id, number): (BindingId, i32),
) -> Result<Event> {
    let now = unit.clock().now();
    let before = agent.active_binding_id.replace(id);
    agent.revision += 1;
    agent.updated_at = now;
    agents::update(unit, agent).await?;
    let activation = Activation {
        tenant_id: agent.tenant_id,
        id: unit.clock().new_id(),
        agent_id: agent.id,
        binding_id: id,
        binding_number: number,
        author: unit.origin().actor.id(),
        activated_at: now,
    };
    bindings::record_activation(unit, &activation).await?;
    let state = |id| json!({ "active_binding_id": id });
    let (before, after) = (state(before), state(Some(id)));
    Ok(Event::new(
        "activated",
        "agent",
        agent.id,
        Some(&before),
        Some(&after),
    ))
}

/// Validates knowledge settings and returns the files that they list.
pub fn validate_knowledge(settings: Option<&KnowledgeSettings>) -> Result<Vec<FileId>> {
    let Some(settings) = settings else {
        return Ok(Vec::new());
    };
    let checked = settings.check();
    checked.map_err(|violations| Error::invalid_within("/knowledge", violations))?;
    Ok(settings.file_ids.clone().unwrap_or_default())
}

/// Checks that every version of the binding exists in this tenant, that the tools' function names are distinct,
/// and that the total size of the specs is acceptable for a worker.
async fn require_versions(
    tx: &mut TenantTx,
    binding: &Binding,
    tools: &[ToolVersionId],
) -> Result<()> {
    if tools.len() > MAX_TOOLS {
        let message = format!("at most {MAX_TOOLS} tools are allowed");
        return Err(Error::invalid_at(
            "/tool_version_ids",
            Invalid::new("too_many", message),
        ));
    }
    let prompt = VersionId::from(binding.prompt_version_id);
    let config = VersionId::from(binding.runtime_config_version_id);
    let tools: Vec<_> = tools.iter().copied().map(VersionId::from).collect();
    let ids: Vec<_> = [prompt, config].iter().chain(&tools).copied().collect();
    let outlines = artifacts::outlines(tx, &ids).await?;
    let find = |id: VersionId, kind: ArtifactKind, pointer: &str| {
        let mut outlines = outlines.iter();
        let found = outlines.find(|outline| outline.id == id && outline.kind == kind);
        found.ok_or_else(|| Error::unknown_reference(pointer))
    };
    let prompt = find(prompt, ArtifactKind::Prompt, "/prompt_version_id")?;
    let config = find(
        config,
        ArtifactKind::RuntimeConfig,
        "/runtime_config_version_id",
    )?;
    let tools = tools.iter().enumerate().map(|(index, id)| {
        let pointer = format!("/tool_version_ids/{index}");
        find(*id, ArtifactKind::Tool, &pointer)
    });
    let tools = tools.collect::<Result<Vec<_>>>()?;
    require_distinct_names(&tools, binding.knowledge.is_some())?;
    let bytes: i32 = [prompt, config].iter().chain(&tools).map(|v| v.bytes).sum();
    if bytes > MAX_SPEC_BYTES {
        let message =
            format!("the specs have {bytes} bytes in total; at most {MAX_SPEC_BYTES} are allowed");
        return Err(Error::invalid_at("", Invalid::new("too_large", message)));
    }
    Ok(())
}

/// Checks that no two functions offered to the model have the same name.
fn require_distinct_names(tools: &[&Outline], has_knowledge: bool) -> Result<()> {
    let mut names: HashSet<_> = has_knowledge.then_some(SEARCH_TOOL).into_iter().collect();
    for (index, tool) in tools.iter().enumerate() {
        let name = tool.function_name.as_deref().unwrap_or_default();
        if !names.insert(name) {
            let message = format!("another tool has the function name `{name}`");
            let invalid = Invalid::new("duplicate_function", message);
            return Err(Error::invalid_at(
                &format!("/tool_version_ids/{index}"),
                invalid,
            ));
        }
    }
    Ok(())
}
