//! Jobs as the operator sees them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{
    JobId, TenantId,
    states::{JobKind, JobState},
};
use uuid::Uuid;

use crate::{Result, Rows, Window, prepared::Prepare as _, schema::jobs};

/// One job. Its kind may be one that only another version knows.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = jobs, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct JobRow {
    pub id: JobId,
    pub kind: String,
    pub subject_id: Uuid,
    pub tenant_id: Option<TenantId>,
    pub run_at: DateTime<Utc>,
    pub attempts: i32,
    pub crashes: i32,
    pub last_error: Option<String>,
    pub dead_at: Option<DateTime<Utc>>,
    pub claimed_until: Option<DateTime<Utc>>,
    #[diesel(select_expression = sql::<Text>(STATE))]
    #[diesel(select_expression_type = diesel::expression::SqlLiteral<Text>)]
    pub state: JobState,
}

/// The state of a job, by PostgreSQL's clock as the leases are.
const STATE: &str = "CASE WHEN dead_at IS NOT NULL THEN 'dead'
                          WHEN claimed_until >= now() THEN 'running' ELSE 'waiting' END";

/// Filter of jobs.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub state: Option<JobState>,
    pub kind: Option<JobKind>,
    pub tenant_id: Option<TenantId>,
}

/// Finds a job.
pub async fn find(connection: &mut AsyncPgConnection, id: JobId) -> Result<Option<JobRow>> {
    Ok(jobs::table
        .filter(jobs::id.eq(id))
        .select(JobRow::as_select())
        .limit(1)
        .prepared()
        .get_result(connection)
        .await
        .optional()?)
}

/// A page of jobs.
pub async fn list(
    connection: &mut AsyncPgConnection,
    window: Window,
    filter: Filter,
) -> Result<Rows<JobRow>> {
    let mut query = jobs::table
        .filter(jobs::id.lt(window.below()))
        .order(jobs::id.desc())
        .limit(window.fetch())
        .select(JobRow::as_select())
        .into_boxed();
    if let Some(state) = filter.state {
        let is_state = sql::<Bool>(STATE).sql(" = ").bind::<Text, _>(state);
        query = query.filter(is_state);
    }
    if let Some(kind) = filter.kind {
        query = query.filter(jobs::kind.eq(kind));
    }
    if let Some(tenant) = filter.tenant_id {
        query = query.filter(jobs::tenant_id.eq(tenant));
    }
    Ok(window.cut(query.prepared().load(connection).await?))
}
