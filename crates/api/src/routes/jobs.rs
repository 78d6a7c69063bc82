//! Background jobs, for the operator.

use patchbay_domain::{
    JobId, TenantId,
    states::{JobKind, JobState},
};
use patchbay_persistence::jobs;
use patchbay_service::{
    Code, Error, Result,
    audit::{Change, Event},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    extract::{Caller, List, Path, scopes::Operator},
    failure::Failure,
    openapi::{Doc, Tag, vocabulary::KnownJobKind},
    response::{Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// A background job: a periodic check of one subject.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0",
    "kind": "session",
    "subject_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "tenant_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
    "state": "dead",
    "attempts": 1000,
    "error": {"code": "failed", "message": "LiveKit did not answer"},
    "run_at": "2026-11-23T20:00:00Z",
    "claimed_until": null,
    "dead_at": "2026-11-23T20:00:00Z"
}))]
pub struct Job {
    /// Id of the job.
    id: JobId,
    /// Kind; `room_sweep`, `sip_sweep`, `object_sweep` and `purge` are the installation's own. New kinds may be added.
    #[schema(value_type = KnownJobKind)]
    kind: String,
    /// Id of what it checks; the nil UUID for the installation's own jobs.
    subject_id: Uuid,
    /// Id of the subject's tenant; null for the installation's own jobs.
    tenant_id: Option<TenantId>,
    /// Current state of the job.
    state: JobState,
    /// Number of attempts since the last one that succeeded.
    #[schema(minimum = 0)]
    attempts: i32,
    /// Error of the last attempt, or the reason why the job is dead; null if it succeeded.
    error: Option<Failure>,
    /// Time at which the job is due.
    run_at: Timestamp,
    /// Time until which a process has claimed it; null if it is not running.
    claimed_until: Option<Timestamp>,
    /// Time at which it failed for good; null if it did not.
    dead_at: Option<Timestamp>,
}

impl Resource for Job {}

impl From<jobs::JobRow> for Job {
    fn from(row: jobs::JobRow) -> Self {
        let jobs::JobRow {
            id,
            kind,
            subject_id,
            tenant_id,
            run_at,
            attempts,
            crashes: _,
            last_error,
            dead_at,
            claimed_until,
            state,
        } = row;
        Self {
            id,
            kind,
            subject_id,
            tenant_id,
            state,
            attempts,
            error: last_error.map(|why| Failure::new(Failure::FAILED, why)),
            run_at: run_at.into(),
            claimed_until: Timestamp::optional(claimed_until),
            dead_at: Timestamp::optional(dead_at),
        }
    }
}

/// Filters for listing jobs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFilter {
    /// Only jobs in this state.
    state: Option<JobState>,
    /// Only jobs of this kind.
    kind: Option<JobKind>,
    /// Only jobs of this tenant.
    tenant_id: Option<TenantId>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Jobs);
    api.add(
        "/api/jobs",
        list,
        Doc::get("listJobs", "List jobs").about(
            "Operator only. Returns the background jobs of the installation, newest first. A job \
             that keeps failing is dead after a bounded number of attempts. It is then attempted \
             once an hour, and when its subject changes.",
        ),
    );
    api.add(
        "/api/jobs/{job_id}/retry",
        retry,
        Doc::post("retryJob", "Retry a job")
            .about(
                "Operator only. Makes the job due at once, with all its attempts, whether it is \
                 dead or waiting.",
            )
            .errors(&[Code::NotFound, Code::JobRunning]),
    );
}

async fn list(caller: Caller<Operator>, list: List<JobFilter>) -> Result<Page<Job>> {
    let filter = jobs::Filter {
        state: list.filter.state,
        kind: list.filter.kind,
        tenant_id: list.filter.tenant_id,
    };
    let mut connection = caller.service.db.connection().await?;
    let rows = jobs::list(&mut connection, list.window, filter).await?;
    Ok(Page::new(rows, |row| row.id.uuid(), Job::from))
}

async fn retry(caller: Caller<Operator>, Path((id,)): Path<(JobId,)>) -> Result<Entity<Job>> {
    let service = &caller.service;
    let mut connection = service.db.connection().await?;
    let job = jobs::find(&mut connection, id).await?;
    let job = job.ok_or_else(Error::not_found)?;
    drop(connection);
    let tenant = job.tenant_id.unwrap_or_else(|| TenantId::new(Uuid::nil()));
    let retried = async |unit: &mut patchbay_service::UnitOfWork| {
        let retried = jobs::retry(unit, id, service.clock.now()).await?;
        let retried = retried
            .ok_or_else(|| Error::new(Code::JobRunning, "A process runs the job at the moment."))?;
        let after = json!({ "kind": retried.kind, "subject_id": retried.subject_id });
        let event = Event::new("retried", "job", id, None::<&()>, Some(&after));
        Ok(Change::one(retried, event))
    };
    let retried = service.change(tenant, &caller.origin, retried).await?;
    service.job_due.notify_one();
    service.ingest_due.notify_one();
    Ok(Entity(retried.into()))
}
