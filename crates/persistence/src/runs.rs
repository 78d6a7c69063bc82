//! Agent runs: each is one attempt to have an agent in a session.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    AgentId, AgentRunId, RawJson, SessionId, TenantId,
    session::{RunState, SessionState},
};

use crate::{
    Result, Rows, TenantTx, Window,
    prepared::Prepare as _,
    schema::{agent_runs, configurations, sessions},
};

/// One agent run.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = agent_runs, check_for_backend(diesel::pg::Pg))]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "columns")]
pub struct AgentRun {
    pub tenant_id: TenantId,
    pub id: AgentRunId,
    pub session_id: SessionId,
    pub configuration_digest: String,
    pub is_primary: bool,
    pub attempt: i32,
    pub state: RunState,
    pub dispatch_id: Option<String>,
    pub participant_sid: Option<String>,
    pub participant_identity: Option<String>,
    pub created_at: DateTime<Utc>,
    pub dispatched_at: Option<DateTime<Utc>>,
    pub joined_at: Option<DateTime<Utc>>,
    pub left_at: Option<DateTime<Utc>>,
    pub missing_since: Option<DateTime<Utc>>,
    pub agent_id: Option<AgentId>,
    pub worker_name: Option<String>,
    pub rendered_prompt: Option<String>,
    pub rendered_greeting: Option<String>,
    pub dispatches: i32,
    pub last_dispatched_at: Option<DateTime<Utc>>,
    pub taken_at: Option<DateTime<Utc>>,
    pub error_detail: Option<String>,
}

/// The columns of a run that change.
#[derive(Clone, Debug, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = agent_runs, treat_none_as_null = true)]
#[expect(missing_docs, reason = "columns")]
pub struct Progress {
    pub state: RunState,
    pub dispatch_id: Option<String>,
    pub participant_sid: Option<String>,
    pub participant_identity: Option<String>,
    pub dispatched_at: Option<DateTime<Utc>>,
    pub joined_at: Option<DateTime<Utc>>,
    pub left_at: Option<DateTime<Utc>>,
    pub missing_since: Option<DateTime<Utc>>,
    pub dispatches: i32,
    pub last_dispatched_at: Option<DateTime<Utc>>,
    pub taken_at: Option<DateTime<Utc>>,
    pub error_detail: Option<String>,
}

impl AgentRun {
    /// The columns that change.
    pub fn progress(&self) -> Progress {
        Progress {
            state: self.state,
            dispatch_id: self.dispatch_id.clone(),
            participant_sid: self.participant_sid.clone(),
            participant_identity: self.participant_identity.clone(),
            dispatched_at: self.dispatched_at,
            joined_at: self.joined_at,
            left_at: self.left_at,
            missing_since: self.missing_since,
            dispatches: self.dispatches,
            last_dispatched_at: self.last_dispatched_at,
            taken_at: self.taken_at,
            error_detail: self.error_detail.clone(),
        }
    }
}

/// Inserts a run.
pub async fn insert(tx: &mut TenantTx, run: &AgentRun) -> Result<()> {
    diesel::insert_into(agent_runs::table)
        .values(run)
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds a run of a session.
pub async fn find(
    tx: &mut TenantTx,
    session: SessionId,
    id: AgentRunId,
) -> Result<Option<AgentRun>> {
    Ok(agent_runs::table
        .find((tx.tenant(), id))
        .filter(agent_runs::session_id.eq(session))
        .select(AgentRun::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// The state of a run's session and the run's configuration document, in one round trip.
pub async fn with_configuration(
    tx: &mut TenantTx,
    session: SessionId,
    id: AgentRunId,
) -> Result<Option<(SessionState, RawJson)>> {
    Ok(agent_runs::table
        .inner_join(
            sessions::table.on(sessions::tenant_id
                .eq(agent_runs::tenant_id)
                .and(sessions::id.eq(agent_runs::session_id))),
        )
        .inner_join(
            configurations::table.on(configurations::tenant_id
                .eq(agent_runs::tenant_id)
                .and(configurations::digest.eq(agent_runs::configuration_digest))),
        )
        .filter(agent_runs::tenant_id.eq(tx.tenant()))
        .filter(agent_runs::id.eq(id))
        .filter(agent_runs::session_id.eq(session))
        .select((sessions::state, configurations::document))
        .first(tx)
        .await
        .optional()?)
}

/// All runs of a session, oldest first. There are few: each is a dispatch.
pub async fn of_session(tx: &mut TenantTx, session: SessionId) -> Result<Vec<AgentRun>> {
    Ok(agent_runs::table
        .filter(agent_runs::tenant_id.eq(tx.tenant()))
        .filter(agent_runs::session_id.eq(session))
        .order(agent_runs::id)
        .select(AgentRun::as_select())
        .load(tx)
        .await?)
}

/// A page of a session's runs.
pub async fn list(tx: &mut TenantTx, session: SessionId, window: Window) -> Result<Rows<AgentRun>> {
    let rows = agent_runs::table
        .filter(agent_runs::tenant_id.eq(tx.tenant()))
        .filter(agent_runs::session_id.eq(session))
        .filter(agent_runs::id.lt(window.below()))
        .order(agent_runs::id.desc())
        .limit(window.fetch())
        .select(AgentRun::as_select())
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

/// Stores the columns that change of a run; the session's row must be locked.
pub async fn update(tx: &mut TenantTx, id: AgentRunId, progress: &Progress) -> Result<()> {
    diesel::update(agent_runs::table.find((tx.tenant(), id)))
        .set(progress)
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}
