//! Runs a job according to its kind.

use std::sync::Arc;

use chrono::TimeDelta;
use patchbay_domain::{FileId, ObjectId, SessionId, states::JobKind};
use patchbay_persistence::jobs::Job;

use super::{
    dead,
    error::{JobError, JobResult},
    purge, retention,
};
use crate::{
    Service,
    knowledge::{ingest, object_sweep, objects},
    sessions::{reconcile, room_sweep},
    telephony::{sip_sweep, sip_sync},
};

/// Runs a job.
pub(super) async fn run(service: &Arc<Service>, job: &Job) -> JobResult {
    match (job.kind, job.tenant_id) {
        (JobKind::Session, Some(tenant)) => {
            reconcile::reconcile(service, tenant, SessionId::new(job.subject_id)).await
        }
        (JobKind::SipObject, Some(tenant)) => {
            let synced = sip_sync::sync(service, tenant, job.subject_id).await;
            synced.map(|()| None)
        }
        (JobKind::Ingest, Some(tenant)) => {
            let result = ingest::run(service, tenant, FileId::new(job.subject_id)).await;
            result.map(|()| None).map_err(JobError::retry)
        }
        (JobKind::Object, Some(tenant)) => {
            objects::process(service, tenant, ObjectId::new(job.subject_id)).await
        }
        (kind, _) => run_periodic(service, kind).await,
    }
}

/// Runs one of the installation's own jobs, which repeat at an interval.
async fn run_periodic(service: &Service, kind: JobKind) -> JobResult {
    let settings = &service.settings;
    let reconcile = service.timings.reconcile;
    let purge_interval = TimeDelta::from_std(settings.retention.purge_interval);
    let purge_interval = purge_interval.unwrap_or(TimeDelta::MAX);
    let interval = match kind {
        JobKind::RoomSweep => {
            // First, so that it happens also while LiveKit is away.
            dead::attempt_again(service).await?;
            room_sweep::sweep(service).await.map(|()| reconcile)?
        }
        JobKind::SipSweep => sip_sweep::sweep(service).await.map(|()| reconcile)?,
        JobKind::ObjectSweep => object_sweep::sweep(service)
            .await
            .map(|()| purge_interval)?,
        JobKind::Purge => {
            purge::purge(service).await?;
            purge_interval
        }
        // Once a day, so that there is one audit event a day.
        JobKind::Retention => retention::apply(service)
            .await
            .map(|()| TimeDelta::days(1))?,
        JobKind::Session | JobKind::SipObject | JobKind::Ingest | JobKind::Object => {
            let error = format!("a job of kind {kind} without its tenant");
            return Err(JobError::Fail(error));
        }
    };
    Ok(Some(service.clock.now() + interval))
}
