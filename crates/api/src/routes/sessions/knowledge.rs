//! What a run looks up in its agent's files.

use patchbay_domain::{
    AgentId, AgentRunId, SessionId, TenantId, knowledge::KnowledgeSettings, session::SessionState,
    text::Text,
};
use patchbay_persistence::{TenantTx, files, runs, sessions};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    answer::Entity,
    audit::Change,
    compute::Turn,
    error::{ApiError, Code, Result},
    extract::{Caller, Json, Path, scopes::Worker},
    flows::{
        search::{self as flow, Question},
        sessions::read_configuration,
    },
    routes::search::SearchResult,
    timeline::{Facts, SearchFacts, Timeline},
};

/// What the model wants to know.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "What does shipping cost?"}))]
pub struct SearchKnowledge {
    /// A question, or words.
    query: Text<1, 2000>,
}

type RunPath = (TenantId, SessionId, AgentRunId);

pub(super) async fn search(
    caller: Caller<Worker>,
    Path((tenant, session, run)): Path<RunPath>,
    Json(body): Json<SearchKnowledge>,
) -> Result<Entity<SearchResult>> {
    let turn = caller.turn().await?;
    let mut tx = caller.read().await?;
    let (settings, agent) = pinned(&caller, (&mut tx, turn), (session, run)).await?;
    let file_ids = match settings.file_ids {
        // One that is not attached any more is not looked into; one that is gone is no error.
        Some(ids) => Some(files::existing(&mut tx, &ids).await?),
        None => None,
    };
    tx.finish();
    let question = Question {
        query: body.query.into_inner(),
        mode: settings.mode,
        limit: settings.top_k,
        agent_id: Some(agent),
        file_ids,
        metadata: None,
        min_score: settings.min_score,
        highlight: false,
    };
    let answer = flow::ask(&caller.app, tenant, question).await?;
    let result = SearchResult::new(settings.mode, answer);
    note(&caller, (session, run), settings.mode, &result).await?;
    Ok(Entity(result))
}

/// The settings that the run's configuration pins, and whose files they are about.
async fn pinned(
    caller: &Caller<Worker>,
    (tx, turn): (&mut TenantTx, Turn),
    (session, run): (SessionId, AgentRunId),
) -> Result<(KnowledgeSettings, AgentId)> {
    let found = runs::with_configuration(tx, session, run).await?;
    let (state, document) = found.ok_or_else(ApiError::not_found)?;
    caller.require_live_if_suspended(state.is_live())?;
    if !matches!(state, SessionState::Starting | SessionState::Running) {
        let detail = "Nobody is left to ask for.";
        return Err(ApiError::new(Code::SessionOver, detail));
    }
    let configuration = read_configuration(&turn, document).await?;
    let settings = configuration.knowledge.ok_or_else(ApiError::not_found)?;
    let row = runs::find(tx, session, run).await?;
    let own = row.and_then(|row| row.agent_id);
    let session = sessions::find(tx, session, false).await?;
    let agent = own.or(session.map(|session| session.agent_id));
    Ok((settings, agent.ok_or_else(ApiError::not_found)?))
}

/// Puts what was found onto the timeline, unless the session was erased meanwhile.
async fn note(
    caller: &Caller<Worker>,
    (session, run): (SessionId, AgentRunId),
    mode: patchbay_domain::knowledge::SearchMode,
    result: &SearchResult,
) -> Result<()> {
    let clock = &caller.app.clock;
    let facts = Facts {
        agent_run_id: Some(run),
        search: Some(SearchFacts {
            mode,
            chunk_ids: result.chunk_ids(),
            duration_ms: result.took_ms(),
        }),
        ..Facts::default()
    };
    caller
        .change(async |tx| {
            if sessions::find(tx, session, true).await?.is_some() {
                let mut timeline = Timeline::of(session);
                timeline.add(clock.now(), "knowledge.searched", facts);
                timeline.write(tx, clock).await?;
            }
            Ok(Change::none(()))
        })
        .await
}
