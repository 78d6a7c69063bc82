//! What a run looks up in its agent's files.

use patchbay_domain::{
    AgentId, AgentRunId, SessionId, TenantId,
    knowledge::{KnowledgeSettings, SearchMode},
    session::SessionState,
    timeline::{Facts, SearchFacts},
};
use patchbay_persistence::{TenantTx, files, runs, sessions};

use super::search::{Question, SearchOutcome, search};
use crate::{
    Code, Error, Origin, Result, Service, sessions::configuration::read_configuration,
    timeline::Timeline,
};

/// Searches as the run's configuration pins it. What was found goes onto the timeline with `facts`.
pub async fn search_for_run(
    service: &Service,
    origin: &Origin,
    tenant: TenantId,
    (session, run): (SessionId, AgentRunId),
    query: String,
) -> Result<(SearchMode, SearchOutcome)> {
    let turn = service.compute.turn(Some(tenant)).await?;
    let mut tx = service.db.begin(tenant).await?;
    let found = runs::with_configuration(&mut tx, session, run).await?;
    let (state, document) = found.ok_or_else(Error::not_found)?;
    origin.require_live_if_suspended(state.is_live())?;
    if !matches!(state, SessionState::Starting | SessionState::Running) {
        let detail = "Nobody is left to ask for.";
        return Err(Error::new(Code::SessionOver, detail));
    }
    let configuration = read_configuration(&turn, document).await?;
    drop(turn);
    let settings = configuration.knowledge.ok_or_else(Error::not_found)?;
    let agent = agent_of(&mut tx, session, run).await?;
    let mode = settings.mode;
    let question = question(&mut tx, agent, settings, query).await?;
    tx.finish();
    let outcome = search(service, tenant, question).await?;
    note(service, origin, tenant, (session, run), (mode, &outcome)).await?;
    Ok((mode, outcome))
}

/// Whose files the run searches.
async fn agent_of(tx: &mut TenantTx, session: SessionId, run: AgentRunId) -> Result<AgentId> {
    let row = runs::find(tx, session, run).await?;
    let own = row.and_then(|row| row.agent_id);
    let session = sessions::find(tx, session).await?;
    let agent = own.or(session.map(|session| session.agent_id));
    agent.ok_or_else(Error::not_found)
}

async fn question(
    tx: &mut TenantTx,
    agent: AgentId,
    settings: KnowledgeSettings,
    query: String,
) -> Result<Question> {
    let file_ids = match settings.file_ids {
        // One that is not attached any more is not looked into; one that is gone is no error.
        Some(ids) => Some(files::existing(tx, &ids).await?),
        None => None,
    };
    Ok(Question {
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

/// Puts what was found onto the timeline, unless the session was erased meanwhile.
async fn note(
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
            duration_ms: outcome.took_ms(),
        }),
        ..Facts::default()
    };
    let mut unit = service.unit_of_work(tenant, origin).await?;
    if sessions::lock(&mut unit, session).await?.is_some() {
        let at = service.clock.now();
        let timeline = Timeline::one(session, at, "knowledge.searched", facts);
        unit.append(timeline).await?;
    }
    unit.commit().await
}
