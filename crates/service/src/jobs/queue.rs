//! Enqueues jobs within the transaction of the change that requires them.

use chrono::{DateTime, Utc};
use patchbay_domain::{FileId, ObjectId, SessionId, states::JobKind};
use patchbay_persistence::{
    TenantTx,
    jobs::{self, Subject},
};
use uuid::Uuid;

use crate::{Result, Service, trace};

/// Enqueues the job that reconciles a session with LiveKit.
pub async fn enqueue_session(service: &Service, tx: &mut TenantTx, id: SessionId) -> Result<()> {
    enqueue(service, tx, JobKind::Session, id.uuid()).await
}

/// Enqueues the job that synchronises a trunk or inbound mapping into LiveKit.
pub async fn enqueue_sip_object(service: &Service, tx: &mut TenantTx, id: Uuid) -> Result<()> {
    enqueue(service, tx, JobKind::SipObject, id).await
}

/// Enqueues the ingest of a file.
pub async fn enqueue_ingest(service: &Service, tx: &mut TenantTx, id: FileId) -> Result<()> {
    enqueue(service, tx, JobKind::Ingest, id.uuid()).await
}

/// Enqueues the job that brings the object store in line with the recorded state of an object.
pub async fn enqueue_object(service: &Service, tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    enqueue(service, tx, JobKind::Object, id.uuid()).await
}

/// Enqueues the same job for a time at which an upload must be over.
pub async fn enqueue_object_at(
    service: &Service,
    tx: &mut TenantTx,
    id: ObjectId,
    run_at: DateTime<Utc>,
) -> Result<()> {
    enqueue_at(service, tx, (JobKind::Object, id.uuid()), run_at).await
}

async fn enqueue(service: &Service, tx: &mut TenantTx, kind: JobKind, subject: Uuid) -> Result<()> {
    enqueue_at(service, tx, (kind, subject), service.clock.now()).await
}

async fn enqueue_at(
    service: &Service,
    tx: &mut TenantTx,
    (kind, id): (JobKind, Uuid),
    run_at: DateTime<Utc>,
) -> Result<()> {
    let subject = Subject {
        kind,
        id,
        tenant: Some(tx.tenant()),
        traceparent: trace::current(),
    };
    Ok(jobs::enqueue(tx, &service.clock, subject, run_at).await?)
}
