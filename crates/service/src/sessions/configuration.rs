//! What a run is to run: a binding resolved, its prompt rendered, its configuration stored.

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

use crate::{Code, Error, Result, Service, compute::Turn};

/// What a run is to run: a binding resolved, its prompt rendered, its configuration stored.
pub struct Pinned {
    /// The agent, its row held.
    pub agent: agents::Agent,
    /// The binding.
    pub binding_id: BindingId,
    /// Digest of the configuration.
    pub digest: String,
    /// Seconds after which it is over.
    pub max_duration_seconds: u32,
    /// The prompt with the variables filled in.
    pub rendered: Rendered,
}

/// Resolves a binding of an agent, the active one by default, and stores its configuration.
pub async fn pin(
    service: &Service,
    tx: &mut TenantTx,
    turn: &Turn,
    (agent_id, binding_id): (AgentId, Option<BindingId>),
    variables: &Variables,
) -> Result<Pinned> {
    // It is not deleted under the new run; runs of one agent need not wait for each other.
    let agent = agents::hold(tx, agent_id).await?;
    let agent = agent.ok_or_else(Error::not_found)?;
    let binding_id = binding_id.or(agent.active_binding_id).ok_or_else(|| {
        let detail = "Activate a binding of the agent, or name one.";
        Error::new(Code::NoActiveBinding, detail)
    })?;
    let resolved = resolve(tx, turn, (&agent, binding_id), variables).await?;
    let stored = StoredConfiguration {
        tenant_id: tx.tenant(),
        digest: resolved.digest.clone(),
        document: resolved.document,
        created_at: service.clock.now(),
    };
    sessions::store_configuration(tx, &stored).await?;
    Ok(Pinned {
        agent,
        binding_id,
        digest: resolved.digest,
        max_duration_seconds: resolved.max_duration_seconds,
        rendered: resolved.rendered,
    })
}

/// A configuration, sealed, and its prompt rendered.
struct Resolved {
    document: RawJson,
    digest: String,
    max_duration_seconds: u32,
    rendered: Rendered,
}

async fn resolve(
    tx: &mut TenantTx,
    turn: &Turn,
    (agent, binding_id): (&agents::Agent, BindingId),
    variables: &Variables,
) -> Result<Resolved> {
    let binding = bindings::find(tx, agent.id, binding_id).await?;
    let binding = binding.ok_or_else(Error::not_found)?;
    let specs = bindings::specs(tx, &binding).await?;
    let specs = specs.ok_or_else(|| Error::internal("a binding without its versions"))?;
    let (worker_name, variables) = (agent.worker_name.clone(), variables.clone());
    let work = move |deadline| {
        let configuration = configuration(worker_name, specs, binding.knowledge)?;
        let rendered = configuration
            .prompt
            .render(&variables, Budget::until(Some(deadline)));
        let rendered = rendered.map_err(|found| Error::invalid_within("/variables", found))?;
        let (document, digest) = configuration.seal()?;
        Ok(Resolved {
            document,
            digest,
            max_duration_seconds: configuration.runtime.limits.max_duration_seconds,
            rendered,
        })
    };
    turn.run(work).await?
}

fn configuration(
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

/// A configuration that was stored, read away from the threads that serve requests.
pub async fn read_configuration(turn: &Turn, document: RawJson) -> Result<Configuration> {
    let read = move |_| document.read().map_err(Error::internal);
    turn.run(read).await?
}
