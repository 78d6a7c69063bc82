//! Asking for a trunk or mapping to be synchronised into LiveKit.

use patchbay_domain::states::SipObjectKind;
use patchbay_persistence::{
    TenantTx,
    sip_objects::{self, SipObject},
};
use uuid::Uuid;

use crate::{Result, Service, jobs::queue};

/// Notes that LiveKit does not have the resource as it is, and has the job see to it.
pub async fn request_sync(
    service: &Service,
    tx: &mut TenantTx,
    id: Uuid,
    kind: SipObjectKind,
) -> Result<SipObject> {
    let tenant = tx.tenant();
    let object = sip_objects::mark_pending(tx, (id, tenant), kind).await?;
    queue::sip_object(service, tx, id).await?;
    Ok(object)
}
