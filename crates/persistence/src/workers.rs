//! Registered worker processes. They serve all tenants.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    expression::{SqlLiteral, UncheckedBind},
    internal::derives::as_expression::Bound,
    prelude::*,
    sql_types::{Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::worker::Availability;
use serde_json::Value;
use uuid::Uuid;

use crate::{Result, Rows, Window, prepared::Prepare as _, schema::workers};

/// Maximum number of workers that are compared with a runtime config.
const MOST: i64 = 1_000;

/// One worker.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = workers, check_for_backend(diesel::pg::Pg))]
#[diesel(treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "columns")]
pub struct Worker {
    pub id: String,
    pub row_id: Uuid,
    pub worker_name: String,
    pub version: String,
    pub kinds: Vec<String>,
    pub plugins: Value,
    pub capacity: i32,
    pub running: i32,
    pub is_draining: bool,
    pub registered_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl Worker {
    /// Whether it has not ended, and was seen after this time.
    pub fn is_alive(&self, alive_after: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && self.seen_at > alive_after
    }
}

/// Number of live workers, their total capacity, and the jobs that they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns")]
pub struct Totals {
    pub workers: i64,
    pub capacity: i64,
    pub running: i64,
}

/// Registers a worker or renews its registration; returns the row as it is stored.
pub async fn put(connection: &mut AsyncPgConnection, worker: &Worker) -> Result<Worker> {
    Ok(diesel::insert_into(workers::table)
        .values(worker)
        .on_conflict(workers::id)
        .do_update()
        .set((
            workers::worker_name.eq(&worker.worker_name),
            workers::version.eq(&worker.version),
            workers::kinds.eq(&worker.kinds),
            workers::plugins.eq(&worker.plugins),
            workers::capacity.eq(worker.capacity),
            workers::running.eq(worker.running),
            workers::is_draining.eq(worker.is_draining),
            workers::seen_at.eq(worker.seen_at),
            workers::ended_at.eq(None::<DateTime<Utc>>),
        ))
        .returning(Worker::as_returning())
        .prepared()
        .get_result(connection)
        .await?)
}

/// Records that a worker has ended; returns whether it was registered and had not ended.
pub async fn end(connection: &mut AsyncPgConnection, id: &str, now: DateTime<Utc>) -> Result<bool> {
    let running = workers::table.find(id).filter(workers::ended_at.is_null());
    let ended = diesel::update(running)
        .set((workers::ended_at.eq(now), workers::running.eq(0)))
        .prepared()
        .execute(connection);
    Ok(ended.await? == 1)
}

/// Removes workers that were not seen since `before`; returns their number.
pub async fn purge(connection: &mut AsyncPgConnection, before: DateTime<Utc>) -> Result<usize> {
    let old = workers::table.filter(workers::seen_at.lt(before));
    Ok(diesel::delete(old).execute(connection).await?)
}

/// Filter of workers.
#[derive(Debug)]
pub struct Filter {
    /// Only those of this worker name.
    pub worker_name: Option<String>,
    /// Only those that are alive, or only the others.
    pub is_alive: Option<bool>,
    /// When a worker that is alive was seen at the earliest.
    pub alive_after: DateTime<Utc>,
}

/// A page of workers.
pub async fn list(
    connection: &mut AsyncPgConnection,
    window: Window,
    filter: Filter,
) -> Result<Rows<Worker>> {
    let mut query = workers::table
        .filter(workers::row_id.lt(window.below()))
        .order(workers::row_id.desc())
        .limit(window.fetch())
        .select(Worker::as_select())
        .into_boxed();
    if let Some(name) = filter.worker_name {
        query = query.filter(workers::worker_name.eq(name));
    }
    if let Some(is_alive) = filter.is_alive {
        let alive = workers::seen_at
            .gt(filter.alive_after)
            .and(workers::ended_at.is_null());
        query = query.filter(alive.eq(is_alive));
    }
    Ok(window.cut(query.load(connection).await?))
}

/// The workers of this name, those first that were seen last.
pub async fn of_name(connection: &mut AsyncPgConnection, worker_name: &str) -> Result<Vec<Worker>> {
    Ok(workers::table
        .filter(workers::worker_name.eq(worker_name))
        .order((workers::seen_at.desc(), workers::id))
        .limit(MOST)
        .select(Worker::as_select())
        .load(connection)
        .await?)
}

/// Totals of the workers that were seen after `alive_after`.
pub async fn totals(
    connection: &mut AsyncPgConnection,
    alive_after: DateTime<Utc>,
) -> Result<Totals> {
    let sum = |column: &str| {
        sql::<diesel::sql_types::BigInt>(&format!("coalesce(sum({column}), 0)::bigint"))
    };
    let (workers, capacity, running) = workers::table
        .filter(workers::seen_at.gt(alive_after))
        .filter(workers::ended_at.is_null())
        .select((diesel::dsl::count_star(), sum("capacity"), sum("running")))
        .prepared()
        .get_result(connection)
        .await?;
    Ok(Totals {
        workers,
        capacity,
        running,
    })
}

/// Whether a worker of this name that was seen after `alive_after` can take a session.
pub async fn availability(
    connection: &mut AsyncPgConnection,
    worker_name: &str,
    alive_after: DateTime<Utc>,
) -> Result<Availability> {
    let expression = select_availability(alive_after)
        .sql(" AS is_alive FROM workers WHERE worker_name = ")
        .bind::<Text, _>(worker_name)
        .sql(") AS found)");
    Ok(diesel::select(expression)
        .prepared()
        .get_result(connection)
        .await?)
}

/// The same as a column of a query of agents.
pub(crate) fn availability_of_agent(
    alive_after: DateTime<Utc>,
) -> SqlLiteral<Text, AvailabilityStart> {
    select_availability(alive_after)
        .sql(" AS is_alive FROM workers WHERE worker_name = agents.worker_name) AS found)")
}

/// The beginning of an expression, with a time in it.
pub(crate) type AvailabilityStart =
    UncheckedBind<SqlLiteral<Text>, Bound<Timestamptz, DateTime<Utc>>>;

/// A subselect up to the time after which a worker is alive.
fn select_availability(alive_after: DateTime<Utc>) -> AvailabilityStart {
    let states = "(SELECT CASE WHEN count(*) = 0 THEN 'unknown'
                               WHEN bool_or(is_alive AND NOT is_draining AND running < capacity) THEN 'ready'
                               WHEN bool_or(is_alive) THEN 'full' ELSE 'none' END
                   FROM (SELECT *, ended_at IS NULL AND seen_at > ";
    sql::<Text>(states).bind::<Timestamptz, _>(alive_after)
}
