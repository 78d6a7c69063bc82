//! The configuration of an agent run, as its worker receives it.

use patchbay_domain::{
    AgentRunId, SessionId, TenantId, configuration::Configuration, session::SessionState,
};
use patchbay_persistence::{
    calls::{self, Call},
    runs, sessions,
};

use super::configuration::read_configuration;
use crate::{Error, Origin, Result, Service};

/// The configuration of an agent run.
pub struct RunConfiguration {
    /// Current state of the session.
    pub state: SessionState,
    /// Digest of the configuration.
    pub digest: String,
    /// The configuration.
    pub configuration: Configuration,
    /// The prompt with the variables substituted.
    pub prompt: String,
    /// The greeting with the variables substituted.
    pub greeting: Option<String>,
    /// The session's primary call, if it was created for one.
    pub call: Option<Call>,
}

/// Loads the configuration of an agent run.
pub async fn load(
    service: &Service,
    origin: &Origin,
    tenant: TenantId,
    (session, run): (SessionId, AgentRunId),
) -> Result<RunConfiguration> {
    let mut tx = service.db.begin(tenant).await?;
    let run = runs::find(&mut tx, session, run).await?;
    let run = run.ok_or_else(Error::not_found)?;
    let found = sessions::find(&mut tx, session).await?;
    let found = found.ok_or_else(Error::not_found)?;
    origin.require_live_if_suspended(found.state.is_live())?;
    let stored = sessions::find_configuration(&mut tx, &run.configuration_digest).await?;
    let stored = stored.ok_or_else(|| Error::internal("a run without its configuration"))?;
    let calls = calls::of_session(&mut tx, session).await?;
    tx.finish();
    // The primary run's prompt is stored with the session; a further agent's run has its own.
    let (prompt, greeting) = match run.rendered_prompt {
        Some(prompt) => (prompt, run.rendered_greeting),
        None => (found.rendered_prompt, found.rendered_greeting),
    };
    let permit = service.compute.acquire(Some(tenant)).await?;
    Ok(RunConfiguration {
        state: found.state,
        digest: stored.digest,
        configuration: read_configuration(&permit, stored.document).await?,
        prompt,
        greeting,
        call: calls.into_iter().find(|call| call.is_primary),
    })
}
