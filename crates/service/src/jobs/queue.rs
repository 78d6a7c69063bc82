//! Asking for jobs, within the transaction of what gives cause to them.

use patchbay_domain::{FileId, ObjectId, SessionId, states::JobKind};
use patchbay_persistence::{TenantTx, jobs};
use uuid::Uuid;

use crate::{Result, Service};

/// Has the session's job look at it.
pub async fn session(service: &Service, tx: &mut TenantTx, id: SessionId) -> Result<()> {
    now(service, tx, JobKind::Session, id.uuid()).await
}

/// Has a trunk or mapping synchronised into LiveKit.
pub async fn sip_object(service: &Service, tx: &mut TenantTx, id: Uuid) -> Result<()> {
    now(service, tx, JobKind::SipObject, id).await
}

/// Has a file made searchable.
pub async fn ingest(service: &Service, tx: &mut TenantTx, id: FileId) -> Result<()> {
    now(service, tx, JobKind::Ingest, id.uuid()).await
}

/// Has the store made what is recorded of an object.
pub async fn object(service: &Service, tx: &mut TenantTx, id: ObjectId) -> Result<()> {
    now(service, tx, JobKind::Object, id.uuid()).await
}

async fn now(service: &Service, tx: &mut TenantTx, kind: JobKind, subject: Uuid) -> Result<()> {
    let tenant = tx.tenant();
    Ok(jobs::enqueue(tx, kind, subject, Some(tenant), service.clock.now()).await?)
}
