//! Knowledge base search of an agent run.

use patchbay_domain::{AgentRunId, SessionId, TenantId, text::Text};
use patchbay_service::{Result, knowledge::run_search::search_for_run};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    extract::{Caller, Json, Path, scopes::Worker},
    response::Entity,
    routes::search::SearchResult,
};

/// A search in the knowledge base.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "What does shipping cost?"}))]
pub struct SearchKnowledge {
    /// Question or keywords.
    query: Text<1, 2000>,
}

pub(super) async fn search(
    caller: Caller<Worker>,
    Path((tenant, session, run)): Path<(TenantId, SessionId, AgentRunId)>,
    Json(body): Json<SearchKnowledge>,
) -> Result<Entity<SearchResult>> {
    let (service, origin) = (&caller.service, &caller.origin);
    let query = body.query.into_inner();
    let search = search_for_run(service, origin, tenant, (session, run), query);
    let (mode, outcome) = search.await?;
    Ok(Entity(SearchResult::new(mode, outcome)))
}
