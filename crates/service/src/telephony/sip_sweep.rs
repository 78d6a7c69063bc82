//! The periodic job that compares Patchbay's SIP objects with LiveKit: it restores lost ones and deletes orphans.
//! It reads them from a lookup table, which is not under row-level security and has the rows of all tenants.

use std::collections::{HashMap, HashSet};

use patchbay_livekit::SipObject as Found;
use patchbay_persistence::sip_objects::{self, SipObject};
use uuid::Uuid;

use super::{
    sip_names::owner,
    sip_object::request_sync,
    sip_sync::{delete_rules, delete_trunks},
};
use crate::{Service, jobs::error::JobError};

/// Requests a sync of resources whose objects LiveKit has lost or has in another revision, and deletes objects without a resource.
pub async fn sweep(service: &Service) -> Result<(), JobError> {
    if page_after(service, Uuid::nil()).await?.is_empty() {
        // Without any resource, including those being deleted, LiveKit need not be queried.
        return Ok(());
    }
    let outbound = service.livekit.list_outbound_trunks().await?;
    let inbound = service.livekit.list_inbound_trunks().await?;
    let rules = service.livekit.list_dispatch_rules().await?;
    let all = || outbound.iter().chain(&inbound).chain(&rules);
    let present: HashMap<&str, &str> = all().map(|found| (&*found.sid, &*found.name)).collect();
    let mut orphans: HashSet<Uuid> = all().filter_map(|found| owner(service, found)).collect();
    // Read after LiveKit's lists, so that every listed object of an existing resource has its row by now.
    let mut page = page_after(service, Uuid::nil()).await?;
    while let Some(last) = page.last().map(|object| object.id) {
        for object in page {
            orphans.remove(&object.id);
            let sids = [&object.trunk_sid, &object.rule_sid];
            // It was lost, or overwritten by a process that was paused while it synchronised an older revision.
            let is_wrong = sids.into_iter().flatten().any(|sid| {
                let name = present.get(&**sid);
                name.is_none_or(|name| object.synced_name.as_ref().is_some_and(|own| own != name))
            });
            if is_wrong {
                let mut tx = service.db.begin(object.tenant_id).await?;
                request_sync(service, &mut tx, object.id, object.kind).await?;
                tx.commit().await?;
            }
        }
        page = page_after(service, last).await?;
    }
    let is_orphan = |found: &&Found| owner(service, found).is_some_and(|id| orphans.contains(&id));
    // Rules are deleted before the trunks that they refer to.
    let only_orphans =
        |found: &[Found]| found.iter().filter(is_orphan).cloned().collect::<Vec<_>>();
    delete_rules(service, only_orphans(&rules), None).await?;
    delete_trunks(service, only_orphans(&inbound), None).await?;
    delete_trunks(service, only_orphans(&outbound), None).await?;
    service.job_due.notify_one();
    Ok(())
}

async fn page_after(service: &Service, id: Uuid) -> Result<Vec<SipObject>, JobError> {
    let mut connection = service.db.connection().await?;
    Ok(sip_objects::page_after(&mut connection, id).await?)
}
