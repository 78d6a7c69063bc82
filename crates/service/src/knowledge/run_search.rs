//! Searches of a run in the files of its agent.

use patchbay_domain::{
    AgentId, AgentRunId, SessionId, TenantId,
    knowledge::{KnowledgeSettings, SearchMode},
    timeline::{EventKind, Facts, SearchFacts},
};
use patchbay_persistence::{TenantTx, files, runs, sessions};

use super::search::{SearchOutcome, SearchRequest, search};
use crate::{
    Error, Origin, Result, Service, sessions::configuration::read_configuration, timeline::Timeline,
};

/// Searches with the settings that the run's configuration pins, and appends the result to the timeline.
pub async fn search_for_run(
    service: &Service,
    origin: &Origin,
    tenant: TenantId,
    (session, run): (SessionId, AgentRunId),
    query: String,
) -> Result<(SearchMode, SearchOutcome)> {
    let permit = service.compute.acquire(Some(tenant)).await?;
    let mut tx = service.db.begin(tenant).await?;
    let found = runs::with_configuration(&mut tx, session, run).await?;
    let (state, document) = found.ok_or_else(Error::not_found)?;
    origin.require_live_if_suspended(state.is_live())?;
    Error::require_active(state)?;
    let configuration = read_configuration(&permit, document).await?;
    drop(permit);
    let settings = configuration.knowledge.ok_or_else(Error::not_found)?;
    let agent = agent_of(&mut tx, session, run).await?;
    let mode = settings.mode;
    let request = search_request(&mut tx, agent, settings, query).await?;
    tx.finish();
    let outcome = search(service, tenant, request).await?;
    record_search(service, origin, tenant, (session, run), (mode, &outcome)).await?;
    Ok((mode, outcome))
}

/// Returns the agent whose files the run searches.
async fn agent_of(tx: &mut TenantTx, session: SessionId, run: AgentRunId) -> Result<AgentId> {
    let row = runs::find(tx, session, run).await?;
    let own = row.and_then(|row| row.agent_id);
    let session = sessions::find(tx, session).await?;
    let agent = own.or(session.map(|session| session.agent_id));
    agent.ok_or_else(Error::not_found)
}

async fn search_request(
    tx: &mut TenantTx,
    agent: AgentId,
    settings: KnowledgeSettings,
    query: String,
) -> Result<SearchRequest> {
    let file_ids = match settings.file_ids {
        // Files that were detached or deleted in the meantime are skipped.
        Some(ids) => Some(files::existing(tx, &ids).await?),
        None => None,
    };
    Ok(SearchRequest {
        query,
        mode: settings.mode,
        limit: settings.top_k,
        agent_id: Some(agent),
        file_ids,
        metadata: None,
        min_score: settings.min_score,
        highlight: false,
    })
}

/// Appends the search to the timeline, unless the session was erased in the meantime.
async fn record_search(
    service: &Service,
    origin: &Origin,
    tenant: TenantId,
    (session, run): (SessionId, AgentRunId),
    (mode, outcome): (SearchMode, &SearchOutcome),
) -> Result<()> {
    let facts = Facts {
        agent_run_id: Some(run),
        search: Some(SearchFacts {
            mode,
            chunk_ids: outcome.chunk_ids(),
            duration_ms: outcome.total_ms(),
        }),
        ..Facts::default()
    };
    let mut unit = service.unit_of_work(tenant, origin).await?;
    if sessions::lock_for_append(&mut unit, session)
        .await?
        .is_some()
    {
        let at = service.clock.now();
        let timeline = Timeline::one(session, at, EventKind::KnowledgeSearched, facts);
        unit.append(timeline).await?;
    }
    unit.commit().await
}
