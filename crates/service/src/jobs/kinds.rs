//! Runs a job according to its kind.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{FileId, ObjectId, SessionId, states::JobKind};
use patchbay_persistence::jobs::Job;

use super::{
    error::{JobError, JobResult},
    purge, retry,
};
use crate::{
    Error, Service,
    knowledge::{ingest, object_sweep, objects},
    sessions::{reconcile, room_sweep},
    telephony::{sip_sweep, sip_sync},
};

/// Runs a job.
pub(super) async fn run(service: &Arc<Service>, job: &Job) -> JobResult {
    let due = match (job.kind, job.tenant_id) {
        (JobKind::Session, Some(tenant)) => {
            reconcile::reconcile(service, tenant, SessionId::new(job.subject_id)).await
        }
        (JobKind::SipObject, Some(tenant)) => {
            run_once(sip_sync::sync(service, tenant, job.subject_id).await)
        }
        (JobKind::Ingest, Some(tenant)) => {
            let result = ingest::run(service, tenant, FileId::new(job.subject_id)).await;
            return result.map(|()| None).map_err(|error| error.to_string());
        }
        (JobKind::Object, Some(tenant)) => {
            objects::process(service, tenant, ObjectId::new(job.subject_id)).await
        }
        (kind, _) => run_periodic(service, kind).await,
    };
    due.map_err(|error| error.to_string())
}

/// Runs one of the installation's own jobs, which repeat at an interval.
async fn run_periodic(service: &Service, kind: JobKind) -> Result<Option<DateTime<Utc>>, JobError> {
    let settings = &service.settings;
    let reconcile = service.timings.reconcile;
    let purge_interval = TimeDelta::from_std(settings.retention.purge_interval);
    let purge_interval = purge_interval.unwrap_or(TimeDelta::MAX);
    let interval = match kind {
        JobKind::RoomSweep => room_sweep::sweep(service).await.map(|()| reconcile)?,
        JobKind::SipSweep => sip_sweep::sweep(service).await.map(|()| reconcile)?,
        JobKind::ObjectSweep => object_sweep::sweep(service)
            .await
            .map(|()| purge_interval)?,
        JobKind::Purge => {
            purge::purge(service).await?;
            retry::retry_dead(service).await?;
            purge_interval
        }
        JobKind::Session | JobKind::SipObject | JobKind::Ingest | JobKind::Object => {
            let error = format!("a job of kind {kind} without its tenant");
            return Err(Error::internal(error).into());
        }
    };
    Ok(Some(service.clock.now() + interval))
}

/// Result of a job that is not due again once it has succeeded.
fn run_once(result: Result<(), JobError>) -> Result<Option<DateTime<Utc>>, JobError> {
    result.map(|()| None)
}
