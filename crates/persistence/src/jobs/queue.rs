//! Scheduling of jobs.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use patchbay_domain::{Clock, TenantId, states::JobKind};
use uuid::Uuid;

use crate::{Result, prepared::Prepare as _, schema::jobs};

/// What a job is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Kind of the job.
    pub kind: JobKind,
    /// Id of the subject; nil for the installation's own jobs.
    pub id: Uuid,
    /// The subject's tenant.
    pub tenant: Option<TenantId>,
    /// W3C trace context of what schedules it.
    pub traceparent: Option<String>,
}

/// Schedules a check of the subject at `run_at` or earlier. A running job runs once more when it ends, and a dead
/// one is attempted anew. Listeners are notified at commit.
pub async fn enqueue(
    connection: &mut AsyncPgConnection,
    clock: &Clock,
    subject: Subject,
    run_at: DateTime<Utc>,
) -> Result<()> {
    diesel::insert_into(jobs::table)
        .values((
            jobs::id.eq(clock.new_uuid()),
            jobs::kind.eq(subject.kind),
            jobs::subject_id.eq(subject.id),
            jobs::tenant_id.eq(subject.tenant),
            jobs::run_at.eq(run_at),
            jobs::traceparent.eq(subject.traceparent),
        ))
        .on_conflict((jobs::kind, jobs::subject_id))
        .do_update()
        .set((
            jobs::run_at.eq(diesel::dsl::sql::<Timestamptz>(
                "least(jobs.run_at, excluded.run_at)",
            )),
            jobs::generation.eq(jobs::generation + 1),
            jobs::attempts.eq(diesel::dsl::sql::<diesel::sql_types::Integer>(
                "CASE WHEN jobs.dead_at IS NULL THEN jobs.attempts ELSE 0 END",
            )),
            jobs::dead_at.eq(None::<DateTime<Utc>>),
            jobs::traceparent.eq(diesel::dsl::sql::<Nullable<Text>>(
                "coalesce(excluded.traceparent, jobs.traceparent)",
            )),
        ))
        .prepared()
        .execute(connection)
        .await?;
    connection.batch_execute("NOTIFY patchbay_jobs").await?;
    Ok(())
}

/// Creates a periodic job unless it exists.
pub async fn seed(connection: &mut AsyncPgConnection, clock: &Clock, kind: JobKind) -> Result<()> {
    diesel::insert_into(jobs::table)
        .values((
            jobs::id.eq(clock.new_uuid()),
            jobs::kind.eq(kind),
            jobs::subject_id.eq(Uuid::nil()),
            jobs::run_at.eq(clock.now()),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    Ok(())
}

/// When the next unclaimed job is due: an ingest, or any other.
pub async fn next_due(
    connection: &mut AsyncPgConnection,
    ingests: bool,
) -> Result<Option<DateTime<Utc>>> {
    Ok(jobs::table
        .filter(jobs::dead_at.is_null())
        .filter(jobs::kind.eq(JobKind::Ingest).eq(ingests))
        .filter(jobs::kind.eq_any(JobKind::ALL))
        .filter(
            jobs::claimed_until
                .is_null()
                .or(jobs::claimed_until.lt(diesel::dsl::now)),
        )
        .select(diesel::dsl::min(jobs::run_at))
        .first(connection)
        .await?)
}
