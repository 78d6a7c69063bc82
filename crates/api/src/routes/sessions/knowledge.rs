//! What a run looks up in its agent's files.

use patchbay_domain::{AgentRunId, SessionId, TenantId, text::Text};
use patchbay_service::{Result, knowledge::run_search::search_for_run};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    answer::Entity,
    extract::{Caller, Json, Path, scopes::Worker},
    routes::search::SearchResult,
};

/// What the model wants to know.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "What does shipping cost?"}))]
pub struct SearchKnowledge {
    /// A question, or words.
    query: Text<1, 2000>,
}

pub(super) async fn search(
    caller: Caller<Worker>,
    Path((tenant, session, run)): Path<(TenantId, SessionId, AgentRunId)>,
    Json(body): Json<SearchKnowledge>,
) -> Result<Entity<SearchResult>> {
    let (service, origin) = (&caller.service, &caller.origin);
    let query = body.query.into_inner();
    let found = search_for_run(service, origin, tenant, (session, run), query);
    let (mode, outcome) = found.await?;
    Ok(Entity(SearchResult::new(mode, outcome)))
}
