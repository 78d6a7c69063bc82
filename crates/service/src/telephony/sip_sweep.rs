//! The periodic job that finds what LiveKit has lost of our SIP objects, and what it has of ours and
//! should not have. What is recorded of them is in a lookup table, which shows all tenants' rows.

use std::collections::HashSet;

use patchbay_livekit::SipObject as Found;
use patchbay_persistence::sip_objects::{self, SipObject};
use uuid::Uuid;

use super::{
    sip_names::owner,
    sip_object::request_sync,
    sip_sync::{delete_rules, delete_trunks},
};
use crate::{Service, jobs::error::JobError};

/// Finds what LiveKit has lost, and what it has of ours and should not have.
pub async fn sweep(service: &Service) -> Result<(), JobError> {
    if page_after(service, Uuid::nil()).await?.is_empty() {
        // No telephone, and none that is being forgotten: LiveKit is left in peace.
        return Ok(());
    }
    let outbound = service.livekit.list_outbound_trunks().await?;
    let inbound = service.livekit.list_inbound_trunks().await?;
    let rules = service.livekit.list_dispatch_rules().await?;
    let all = || outbound.iter().chain(&inbound).chain(&rules);
    let present: HashSet<&str> = all().map(|found| &*found.sid).collect();
    let mut strays: HashSet<Uuid> = all().filter_map(|found| owner(service, found)).collect();
    // After LiveKit's lists, so that whatever is listed has its row by now.
    let mut page = page_after(service, Uuid::nil()).await?;
    while let Some(last) = page.last().map(|object| object.id) {
        for object in page {
            strays.remove(&object.id);
            let sids = [&object.trunk_sid, &object.rule_sid];
            let lost = sids
                .into_iter()
                .flatten()
                .any(|sid| !present.contains(&**sid));
            if lost {
                let mut tx = service.db.begin(object.tenant_id).await?;
                request_sync(service, &mut tx, object.id, object.kind).await?;
                tx.commit().await?;
            }
        }
        page = page_after(service, last).await?;
    }
    let is_stray = |found: &&Found| owner(service, found).is_some_and(|id| strays.contains(&id));
    // What belongs to none of our resources any more: rules before their trunks.
    let of = |found: &[Found]| found.iter().filter(is_stray).cloned().collect::<Vec<_>>();
    delete_rules(service, of(&rules), None).await?;
    delete_trunks(service, of(&inbound), None).await?;
    delete_trunks(service, of(&outbound), None).await?;
    service.job_due.notify_one();
    Ok(())
}

async fn page_after(service: &Service, id: Uuid) -> Result<Vec<SipObject>, JobError> {
    let mut connection = service.db.connection().await?;
    Ok(sip_objects::page_after(&mut connection, id).await?)
}
