//! Dead jobs, which are not retried by themselves.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use patchbay_domain::{JobId, states::JobKind};

use super::list::JobRow;
use crate::{Result, prepared::Prepare as _, schema::jobs};

/// Gives jobs that died before `before` one more attempt, as the cause may have been fixed; returns their number.
pub async fn revive(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<usize> {
    let dead = jobs::table
        .filter(jobs::dead_at.lt(before))
        .filter(jobs::kind.eq_any(JobKind::ALL));
    let revived = diesel::update(dead).set((
        jobs::dead_at.eq(None::<DateTime<Utc>>),
        jobs::run_at.eq(now),
    ));
    Ok(revived.execute(connection).await?)
}

/// Declares jobs dead that are due since `before` and whose kind this version does not know, so that they are seen;
/// returns their number. Younger ones may be those of a newer version that is being deployed.
pub async fn bury_unknown(
    connection: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<usize> {
    let unknown = jobs::table
        .filter(jobs::dead_at.is_null())
        .filter(jobs::claim.is_null())
        .filter(jobs::run_at.lt(before))
        .filter(jobs::kind.ne_all(JobKind::ALL));
    let buried = diesel::update(unknown).set((
        jobs::dead_at.eq(now),
        jobs::last_error.eq("this version knows no job of this kind"),
    ));
    Ok(buried.execute(connection).await?)
}

/// Makes a job that is not running due at once, with all its attempts; `None` if there is none, or it is running.
pub async fn retry(
    connection: &mut AsyncPgConnection,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Option<JobRow>> {
    let job = jobs::table.filter(jobs::id.eq(id)).filter(
        jobs::claimed_until
            .is_null()
            .or(jobs::claimed_until.lt(diesel::dsl::now)),
    );
    let retried = diesel::update(job)
        .set((
            jobs::dead_at.eq(None::<DateTime<Utc>>),
            jobs::run_at.eq(now),
            jobs::attempts.eq(0),
            jobs::crashes.eq(0),
        ))
        .returning(JobRow::as_returning())
        .prepared()
        .get_result(connection)
        .await
        .optional()?;
    if retried.is_some() {
        connection.batch_execute("NOTIFY patchbay_jobs").await?;
    }
    Ok(retried)
}
