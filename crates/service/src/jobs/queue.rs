//! Enqueues jobs within the transaction of the change that requires them.

use patchbay_domain::{FileId, ObjectId, SessionId, states::JobKind};
use patchbay_persistence::{TenantTx, jobs};
use uuid::Uuid;

use crate::{Result, Service};

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

async fn enqueue(service: &Service, tx: &mut TenantTx, kind: JobKind, subject: Uuid) -> Result<()> {
    let tenant = tx.tenant();
    Ok(jobs::enqueue(tx, kind, subject, Some(tenant), service.clock.now()).await?)
}
