//! What the jobs of each kind do.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{FileId, ObjectId, SessionId, states::JobKind};
use patchbay_persistence::jobs::Job;

use super::{
    error::{Ended, JobError},
    purge, retry,
};
use crate::{
    Error, Service,
    knowledge::{ingest, object_sweep, objects},
    sessions::{reconcile, room_sweep},
    telephony::{sip_sweep, sip_sync},
};

/// Does a job's work.
pub(super) async fn work(service: &Arc<Service>, job: &Job) -> Ended {
    let due = match (job.kind, job.tenant_id) {
        (JobKind::Session, Some(tenant)) => {
            reconcile::reconcile(service, tenant, SessionId::new(job.subject_id)).await
        }
        (JobKind::SipObject, Some(tenant)) => {
            once(sip_sync::sync(service, tenant, job.subject_id).await)
        }
        (JobKind::Ingest, Some(tenant)) => {
            let done = ingest::run(service, tenant, FileId::new(job.subject_id)).await;
            return done.map(|()| None).map_err(|error| error.to_string());
        }
        (JobKind::Object, Some(tenant)) => {
            objects::process(service, tenant, ObjectId::new(job.subject_id)).await
        }
        (kind, _) => sweep(service, kind).await,
    };
    due.map_err(|error| error.to_string())
}

/// The installation's own jobs, which come again.
async fn sweep(service: &Service, kind: JobKind) -> Result<Option<DateTime<Utc>>, JobError> {
    let settings = &service.settings;
    let reconcile = service.timings.reconcile;
    let purge_interval = TimeDelta::from_std(settings.retention.purge_interval);
    let purge_interval = purge_interval.unwrap_or(TimeDelta::MAX);
    let pause = match kind {
        JobKind::RoomSweep => room_sweep::sweep(service).await.map(|()| reconcile)?,
        JobKind::SipSweep => sip_sweep::sweep(service).await.map(|()| reconcile)?,
        JobKind::ObjectSweep => object_sweep::sweep(service)
            .await
            .map(|()| purge_interval)?,
        JobKind::Purge => {
            purge::purge(service).await?;
            retry::revive(service).await?;
            purge_interval
        }
        JobKind::Session | JobKind::SipObject | JobKind::Ingest | JobKind::Object => {
            let error = format!("a job of kind {kind} without its tenant");
            return Err(Error::internal(error).into());
        }
    };
    Ok(Some(service.clock.now() + pause))
}

fn once(done: Result<(), JobError>) -> Result<Option<DateTime<Utc>>, JobError> {
    done.map(|()| None)
}
