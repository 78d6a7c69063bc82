//! Resolves a binding into the configuration of an agent run, and stores it under its digest.

use patchbay_domain::{
    AgentId, BindingId, RawJson,
    configuration::{Configuration, SCHEMA},
    prompt::{Rendered, Variables},
    template::Budget,
    tool::ToolSpec,
};
use patchbay_persistence::{
    TenantTx, agents, bindings,
    sessions::{self, StoredConfiguration},
};

use crate::{Code, Error, Result, Service, compute::ComputePermit};

/// The stored configuration of a run, with the rendered prompt.
pub struct PinnedConfiguration {
    /// The agent; its row is locked in shared mode.
    pub agent: agents::Agent,
    /// The binding.
    pub binding_id: BindingId,
    /// Digest of the configuration.
    pub digest: String,
    /// Maximum duration of the session in seconds.
    pub max_duration_seconds: u32,
    /// The prompt and greeting with the variables substituted.
    pub rendered: Rendered,
}

/// Resolves a binding of an agent, the active one by default, and stores its configuration.
///
/// Fails with `no_active_binding`, or `validation_failed` if the agent or the binding is unknown or the variables do not
/// fit the prompt.
pub async fn pin_configuration(
    service: &Service,
    tx: &mut TenantTx,
    permit: &ComputePermit,
    (agent_id, binding_id): (AgentId, Option<BindingId>),
    variables: &Variables,
) -> Result<PinnedConfiguration> {
    // A shared lock keeps the agent from being deleted while the run is created, and lets runs of one agent be
    // created concurrently.
    let agent = agents::lock_shared(tx, agent_id).await?;
    let agent = agent.ok_or_else(|| Error::unknown_reference("/agent_id"))?;
    let binding_id = binding_id.or(agent.active_binding_id).ok_or_else(|| {
        let detail = "The agent has no active binding. Activate one, or give `binding_id`.";
        Error::new(Code::NoActiveBinding, detail)
    })?;
    let resolved = resolve(tx, permit, (&agent, binding_id), variables).await?;
    let stored = StoredConfiguration {
        tenant_id: tx.tenant(),
        digest: resolved.digest.clone(),
        document: resolved.document,
        created_at: service.clock.now(),
    };
    sessions::store_configuration(tx, &stored).await?;
    Ok(PinnedConfiguration {
        agent,
        binding_id,
        digest: resolved.digest,
        max_duration_seconds: resolved.max_duration_seconds,
        rendered: resolved.rendered,
    })
}

/// A configuration as canonical JSON, with its digest and rendered prompt.
struct Resolved {
    document: RawJson,
    digest: String,
    max_duration_seconds: u32,
    rendered: Rendered,
}

async fn resolve(
    tx: &mut TenantTx,
    permit: &ComputePermit,
    (agent, binding_id): (&agents::Agent, BindingId),
    variables: &Variables,
) -> Result<Resolved> {
    let binding = bindings::find(tx, agent.id, binding_id).await?;
    let binding = binding.ok_or_else(|| Error::unknown_reference("/binding_id"))?;
    let specs = bindings::specs(tx, &binding).await?;
    let specs = specs.ok_or_else(|| Error::internal("a binding without its versions"))?;
    let (worker_name, variables) = (agent.worker_name.clone(), variables.clone());
    let work = move |deadline| {
        let configuration = build_configuration(worker_name, specs, binding.knowledge)?;
        let rendered = configuration
            .prompt
            .render(&variables, Budget::until(Some(deadline)));
        let rendered =
            rendered.map_err(|violations| Error::invalid_within("/variables", violations))?;
        let (document, digest) = configuration.seal()?;
        Ok(Resolved {
            document,
            digest,
            max_duration_seconds: configuration.runtime.limits.max_duration_seconds,
            rendered,
        })
    };
    permit.run(work).await?
}

fn build_configuration(
    worker_name: String,
    specs: bindings::Specs,
    knowledge: Option<serde_json::Value>,
) -> Result<Configuration> {
    let read = || -> serde_json::Result<_> {
        let (prompt, runtime) = (specs.prompt.read()?, specs.runtime.read()?);
        let tools = specs.tools.iter().map(RawJson::read);
        let mut tools: Vec<ToolSpec> = tools.collect::<serde_json::Result<_>>()?;
        tools.sort_by(|a, b| a.function_name.cmp(&b.function_name));
        let knowledge = knowledge.map(serde_json::from_value).transpose()?;
        Ok((prompt, runtime, tools, knowledge))
    };
    let (prompt, runtime, tools, knowledge) = read().map_err(Error::internal)?;
    Ok(Configuration {
        schema: SCHEMA,
        worker_name,
        prompt,
        runtime,
        tools,
        knowledge,
    })
}

/// Parses a stored configuration on a compute thread, so that the threads that serve requests are not blocked.
pub async fn read_configuration(
    permit: &ComputePermit,
    document: RawJson,
) -> Result<Configuration> {
    let read = move |_| document.read().map_err(Error::internal);
    permit.run(read).await?
}
