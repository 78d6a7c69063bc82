//! Bindings: which versions go together.

use std::collections::HashSet;

use patchbay_domain::{
    FileId, Invalid, ToolVersionId, VersionId, artifact::ArtifactKind, knowledge::KnowledgeSettings,
};
use patchbay_persistence::{
    TenantTx,
    artifacts::{self, Outline},
    bindings,
};

use crate::{Error, Result};

/// Most tools of one binding.
const MOST_TOOLS: usize = 50;

/// Most bytes of all specs that a binding pins.
const MOST_BYTES: i32 = 2 << 20;

/// The function by which a model searches what its agent knows.
const SEARCH_TOOL: &str = "search_knowledge";

/// The files that settings name, if the settings are possible.
pub fn checked_knowledge(settings: Option<&KnowledgeSettings>) -> Result<Vec<FileId>> {
    let Some(settings) = settings else {
        return Ok(Vec::new());
    };
    let checked = settings.check();
    checked.map_err(|found| Error::invalid_within("/knowledge", found))?;
    Ok(settings.file_ids.clone().unwrap_or_default())
}

/// Every version that the binding names exists in this tenant, a model can tell the tools apart, and all
/// of it together is not too much to be handed to a worker.
pub async fn require_versions(
    tx: &mut TenantTx,
    binding: &bindings::Binding,
    tools: &[ToolVersionId],
) -> Result<()> {
    if tools.len() > MOST_TOOLS {
        let message = format!("at most {MOST_TOOLS} tools are allowed");
        return Err(Error::invalid_at(
            "/tool_version_ids",
            Invalid::new("too_many", message),
        ));
    }
    let prompt = VersionId::from(binding.prompt_version_id);
    let config = VersionId::from(binding.runtime_config_version_id);
    let tools: Vec<_> = tools.iter().copied().map(VersionId::from).collect();
    let ids: Vec<_> = [prompt, config].iter().chain(&tools).copied().collect();
    let known = artifacts::outlines(tx, &ids).await?;
    let find = |id: VersionId, kind: ArtifactKind| {
        let mut known = known.iter();
        let found = known.find(|known| known.id == id && known.kind == kind);
        found.ok_or_else(Error::not_found)
    };
    let prompt = find(prompt, ArtifactKind::Prompt)?;
    let config = find(config, ArtifactKind::RuntimeConfig)?;
    let tools = tools.iter().map(|id| find(*id, ArtifactKind::Tool));
    let tools = tools.collect::<Result<Vec<_>>>()?;
    require_names(&tools, binding.knowledge.is_some())?;
    let bytes: i32 = [prompt, config].iter().chain(&tools).map(|v| v.bytes).sum();
    if bytes > MOST_BYTES {
        let message = format!("the specs have {bytes} bytes together, at most {MOST_BYTES}");
        return Err(Error::invalid_at("", Invalid::new("too_large", message)));
    }
    Ok(())
}

/// A model can tell the tools apart.
fn require_names(tools: &[&Outline], knows: bool) -> Result<()> {
    let mut names: HashSet<_> = knows.then_some(SEARCH_TOOL).into_iter().collect();
    for (index, tool) in tools.iter().enumerate() {
        let name = tool.function_name.as_deref().unwrap_or_default();
        if !names.insert(name) {
            let message = format!("another tool is called `{name}` too");
            let invalid = Invalid::new("duplicate_function", message);
            return Err(Error::invalid_at(
                &format!("/tool_version_ids/{index}"),
                invalid,
            ));
        }
    }
    Ok(())
}
