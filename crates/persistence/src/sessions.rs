//! Sessions and their configurations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    pg::Pg,
    prelude::*,
    sql_types::{self, Bool, Jsonb},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    AgentId, BindingId, FileId, Metadata, PromptVersionId, RawJson, RuntimeConfigVersionId,
    SessionId, TenantId, ToolVersionId, UserId, session::SessionState,
};
use serde_json::{Value, json};

use crate::{
    Result, Rows, TenantTx, Window,
    page::ids_from,
    prepared::Prepare as _,
    schema::{agent_files, binding_tools, bindings, configurations, participants, sessions},
    tenants,
};

/// One session.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = sessions)]
#[expect(missing_docs, reason = "columns")]
pub struct Session {
    pub tenant_id: TenantId,
    pub id: SessionId,
    pub agent_id: AgentId,
    pub binding_id: BindingId,
    pub configuration_digest: String,
    pub worker_name: String,
    pub state: SessionState,
    pub end_reason: Option<String>,
    pub error_detail: Option<String>,
    pub last_error: Option<String>,
    pub room_name: String,
    pub room_sid: Option<String>,
    pub variables: RawJson,
    pub metadata: Metadata,
    pub rendered_prompt: String,
    pub rendered_greeting: Option<String>,
    pub max_duration_seconds: i32,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub starting_at: Option<DateTime<Utc>>,
    pub dispatched_at: Option<DateTime<Utc>>,
    pub running_at: Option<DateTime<Utc>>,
    pub stopping_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub room_missing_since: Option<DateTime<Utc>>,
    pub room_deleted_at: Option<DateTime<Utc>>,
}

/// The columns of a session that change.
#[derive(Clone, Debug, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = sessions, treat_none_as_null = true)]
#[expect(missing_docs, reason = "columns")]
pub struct Progress {
    pub state: SessionState,
    pub end_reason: Option<String>,
    pub error_detail: Option<String>,
    pub last_error: Option<String>,
    pub room_sid: Option<String>,
    pub revision: i64,
    pub starting_at: Option<DateTime<Utc>>,
    pub dispatched_at: Option<DateTime<Utc>>,
    pub running_at: Option<DateTime<Utc>>,
    pub stopping_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub room_missing_since: Option<DateTime<Utc>>,
    pub room_deleted_at: Option<DateTime<Utc>>,
}

impl Session {
    /// The columns that change.
    pub fn progress(&self) -> Progress {
        Progress {
            state: self.state,
            end_reason: self.end_reason.clone(),
            error_detail: self.error_detail.clone(),
            last_error: self.last_error.clone(),
            room_sid: self.room_sid.clone(),
            revision: self.revision,
            starting_at: self.starting_at,
            dispatched_at: self.dispatched_at,
            running_at: self.running_at,
            stopping_at: self.stopping_at,
            ended_at: self.ended_at,
            room_missing_since: self.room_missing_since,
            room_deleted_at: self.room_deleted_at,
        }
    }
}

/// Filter of sessions.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub state: Vec<SessionState>,
    pub agent_id: Option<AgentId>,
    pub binding_id: Option<BindingId>,
    pub versions: Versions,
    pub configuration_digest: Option<String>,
    /// A field of the metadata, and its value as text.
    pub metadata: Option<(String, String)>,
    pub user_id: Option<UserId>,
    /// A file that is attached to the agent.
    pub file_id: Option<FileId>,
    pub end_reason: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// Versions that a session has run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of bindings")]
pub struct Versions {
    pub prompt_version_id: Option<PromptVersionId>,
    pub runtime_config_version_id: Option<RuntimeConfigVersionId>,
    pub tool_version_id: Option<ToolVersionId>,
}

/// One configuration, stored once per digest.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = configurations, check_for_backend(Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct StoredConfiguration {
    pub tenant_id: TenantId,
    pub digest: String,
    pub document: RawJson,
    pub created_at: DateTime<Utc>,
}

/// Stores a configuration unless its digest exists.
pub async fn store_configuration(
    tx: &mut TenantTx,
    configuration: &StoredConfiguration,
) -> Result<()> {
    diesel::insert_into(configurations::table)
        .values(configuration)
        .on_conflict_do_nothing()
        .execute(tx)
        .await?;
    Ok(())
}

/// The configuration with this digest.
pub async fn find_configuration(
    tx: &mut TenantTx,
    digest: &str,
) -> Result<Option<StoredConfiguration>> {
    Ok(configurations::table
        .find((tx.tenant(), digest))
        .select(StoredConfiguration::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Inserts a session in the state `created`.
pub async fn insert(tx: &mut TenantTx, session: &Session) -> Result<()> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::tenant_id.eq(tx.tenant()),
            sessions::id.eq(session.id),
            sessions::agent_id.eq(session.agent_id),
            sessions::binding_id.eq(session.binding_id),
            sessions::configuration_digest.eq(&session.configuration_digest),
            sessions::worker_name.eq(&session.worker_name),
            sessions::state.eq(session.state),
            sessions::room_name.eq(&session.room_name),
            sessions::room_sid.eq(&session.room_sid),
            sessions::variables.eq(&session.variables),
            sessions::metadata.eq(&session.metadata),
            sessions::rendered_prompt.eq(&session.rendered_prompt),
            sessions::rendered_greeting.eq(&session.rendered_greeting),
            sessions::max_duration_seconds.eq(session.max_duration_seconds),
            sessions::revision.eq(session.revision),
            sessions::created_at.eq(session.created_at),
        ))
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds a session.
pub async fn find(tx: &mut TenantTx, id: SessionId) -> Result<Option<Session>> {
    Ok(sessions::table
        .find((tx.tenant(), id))
        .select(Session::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// The states of these sessions, as far as they exist.
pub async fn states(
    tx: &mut TenantTx,
    ids: &[SessionId],
) -> Result<HashMap<SessionId, SessionState>> {
    let found: Vec<(SessionId, SessionState)> = sessions::table
        .filter(sessions::tenant_id.eq(tx.tenant()))
        .filter(sessions::id.eq_any(ids))
        .select((sessions::id, sessions::state))
        .load(tx)
        .await?;
    Ok(found.into_iter().collect())
}

/// Finds and locks a session.
pub async fn lock(tx: &mut TenantTx, id: SessionId) -> Result<Option<Session>> {
    Ok(sessions::table
        .find((tx.tenant(), id))
        .select(Session::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// Locks a session and returns its state, if it exists. What is appended to it from here on has later ids than what others
/// have appended, so that a client that reads forwards misses nothing.
pub async fn lock_for_append(tx: &mut TenantTx, id: SessionId) -> Result<Option<SessionState>> {
    Ok(sessions::table
        .find((tx.tenant(), id))
        .select(sessions::state)
        .for_no_key_update()
        .first(tx)
        .await
        .optional()?)
}

/// A page of sessions.
pub async fn list(tx: &mut TenantTx, window: Window, filter: Filter) -> Result<Rows<Session>> {
    let tenant = tx.tenant();
    let query = |window: Window| {
        let Filter {
            state,
            agent_id,
            binding_id,
            versions,
            configuration_digest,
            metadata,
            user_id,
            file_id,
            end_reason,
            from,
            to,
        } = filter.clone();
        let mut query = sessions::table
            .filter(sessions::tenant_id.eq(tenant))
            .filter(sessions::id.lt(window.below_and_until(to)))
            .order(sessions::id.desc())
            .limit(window.fetch())
            .select(Session::as_select())
            .into_boxed();
        if !state.is_empty() {
            query = query.filter(sessions::state.eq_any(state));
        }
        if let Some(agent) = agent_id {
            query = query.filter(sessions::agent_id.eq(agent));
        }
        if let Some(binding) = binding_id {
            query = query.filter(sessions::binding_id.eq(binding));
        }
        if versions != Versions::default() {
            query = query.filter(sessions::binding_id.eq_any(pinning(tenant, versions)));
        }
        if let Some(digest) = configuration_digest {
            query = query.filter(sessions::configuration_digest.eq(digest));
        }
        if let Some((key, value)) = metadata {
            // No index: under row-level security, the planner would not use one for this operator.
            let has =
                |value: Value| sql::<Bool>("metadata @> ").bind::<Jsonb, _>(json!({ &key: value }));
            let has_text = has(Value::from(&*value));
            query = match scalar(&value) {
                Some(value) => query.filter(has_text.or(has(value))),
                None => query.filter(has_text),
            };
        }
        if let Some(user) = user_id {
            let with_user = participants::table
                .filter(participants::tenant_id.eq(tenant))
                .filter(participants::identity.eq(user.identity()))
                .select(participants::session_id);
            query = query.filter(sessions::id.eq_any(with_user));
        }
        if let Some(file) = file_id {
            let with_file = agent_files::table
                .filter(agent_files::tenant_id.eq(tenant))
                .filter(agent_files::file_id.eq(file))
                .select(agent_files::agent_id);
            query = query.filter(sessions::agent_id.eq_any(with_file));
        }
        if let Some(reason) = end_reason {
            query = query.filter(sessions::end_reason.eq(reason));
        }
        if let Some(from) = from {
            query = query
                .filter(sessions::id.ge(ids_from(from)))
                .filter(sessions::created_at.ge(from));
        }
        if let Some(to) = to {
            query = query.filter(sessions::created_at.lt(to));
        }
        query
    };
    let total = window.total(tx, query).await?;
    let rows = query(window).load_stream(tx).await?;
    let bytes = |row: &Session| row.variables.len() + row.rendered_prompt.len();
    let rows = window.fill(rows, bytes).await?;
    Ok(rows.with_total(total))
}

/// The bindings that pin all of these versions.
fn pinning(
    tenant: TenantId,
    versions: Versions,
) -> bindings::BoxedQuery<'static, Pg, sql_types::Uuid> {
    let mut query = bindings::table
        .filter(bindings::tenant_id.eq(tenant))
        .select(bindings::id)
        .into_boxed();
    if let Some(version) = versions.prompt_version_id {
        query = query.filter(bindings::prompt_version_id.eq(version));
    }
    if let Some(version) = versions.runtime_config_version_id {
        query = query.filter(bindings::runtime_config_version_id.eq(version));
    }
    if let Some(version) = versions.tool_version_id {
        let with_tool = binding_tools::table
            .filter(binding_tools::tenant_id.eq(tenant))
            .filter(binding_tools::tool_version_id.eq(version))
            .select(binding_tools::binding_id);
        query = query.filter(bindings::id.eq_any(with_tool));
    }
    query
}

/// The number, boolean or null of this spelling.
fn scalar(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text).ok()?;
    (!matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_))).then_some(value)
}

/// Stores the columns that change of a session whose row is locked.
pub async fn update(tx: &mut TenantTx, id: SessionId, progress: &Progress) -> Result<()> {
    diesel::update(sessions::table.find((tx.tenant(), id)))
        .set(progress)
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// How many sessions of the tenant are live. One that should have ended before `late` is not counted, so that a
/// lost session blocks no place. Other callers wait until this transaction ends.
pub async fn count_live(tx: &mut TenantTx, late: DateTime<Utc>) -> Result<i64> {
    tenants::lock_counts(tx).await?;
    let end = sql::<Bool>(
        "coalesce(running_at, starting_at) + make_interval(secs => max_duration_seconds) > ",
    );
    Ok(sessions::table
        .filter(sessions::tenant_id.eq(tx.tenant()))
        .filter(sessions::state.eq_any(["starting", "running", "stopping"]))
        .filter(end.bind::<sql_types::Timestamptz, _>(late))
        .count()
        .prepared()
        .get_result(tx)
        .await?)
}

/// Erases a session with its runs and participants.
pub async fn delete(tx: &mut TenantTx, id: SessionId) -> Result<()> {
    diesel::delete(sessions::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}
