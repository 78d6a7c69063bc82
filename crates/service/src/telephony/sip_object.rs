//! Requests to synchronise a trunk or mapping into LiveKit.

use patchbay_domain::states::SipObjectKind;
use patchbay_persistence::{
    TenantTx,
    sip_objects::{self, SipObject},
};
use uuid::Uuid;

use crate::{Result, Service, jobs::queue};

/// Marks a resource as pending and enqueues the job that synchronises it into LiveKit.
pub async fn request_sync(
    service: &Service,
    tx: &mut TenantTx,
    id: Uuid,
    kind: SipObjectKind,
) -> Result<SipObject> {
    let tenant = tx.tenant();
    let object = sip_objects::mark_pending(tx, (id, tenant), kind).await?;
    queue::enqueue_sip_object(service, tx, id).await?;
    Ok(object)
}
