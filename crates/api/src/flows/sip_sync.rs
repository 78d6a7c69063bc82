//! The job of a SIP trunk or mapping: LiveKit is to have of it exactly what is recorded.
//!
//! LiveKit gives its objects ids of its own and knows no idempotency, so each is found again by its
//! name, which ends in the revision that it was made from: what is there in this revision is right,
//! what is there in another is replaced, and what is there twice goes.

use std::collections::{HashMap, HashSet};

use patchbay_domain::{TenantId, TrunkId, sip::Transport};
use patchbay_livekit::{Credentials, OutboundTrunk, SipObject as Found};
use patchbay_persistence::{
    TenantTx, jobs,
    sip_objects::{self, SipObject},
    sip_trunks,
};
use uuid::Uuid;

use super::{secrets, sync::SyncError};
use crate::{app::App, error::ApiError};

/// Notes that LiveKit is to be told, and has the job do it.
pub async fn ask(
    app: &App,
    tx: &mut TenantTx,
    id: Uuid,
    kind: &str,
) -> Result<SipObject, ApiError> {
    let tenant = tx.tenant();
    let object = sip_objects::mark_pending(tx, (id, tenant), kind).await?;
    let now = app.clock.now();
    jobs::enqueue(tx, jobs::SIP_OBJECT, id, Some(tenant), now).await?;
    Ok(object)
}

/// Runs the job.
#[tracing::instrument(skip(app), err(level = "warn"))]
pub async fn sync(app: &App, tenant: TenantId, id: Uuid) -> Result<(), SyncError> {
    let mut tx = app.db.begin(tenant).await?;
    let Some(object) = sip_objects::find(&mut tx, id).await? else {
        return Ok(());
    };
    let wanted = outbound_trunk(app, &mut tx, TrunkId::new(id)).await?;
    tx.finish();
    let is_gone = wanted.is_none();
    let outcome = put_trunk(app, &object, wanted).await;
    let mut connection = app.db.connection().await?;
    let failure = match outcome {
        Ok(_) if is_gone => return Ok(sip_objects::forget(&mut connection, id).await?),
        Ok(sid) => {
            let synced = SipObject {
                trunk_sid: sid,
                sync_state: "synced".to_owned(),
                error: None,
                attempts: object.attempts + 1,
                synced_at: Some(app.clock.now()),
                ..object
            };
            return Ok(sip_objects::update(&mut connection, &synced).await?);
        }
        Err(failure) => failure,
    };
    let failed = SipObject {
        sync_state: "failed".to_owned(),
        error: Some(failure.summary()),
        attempts: object.attempts + 1,
        ..object
    };
    sip_objects::update(&mut connection, &failed).await?;
    Err(failure.into())
}

/// The beginning of the names of a resource's objects.
fn prefix(app: &App, object: &SipObject) -> String {
    format!("{}-{}-{}-", app.settings.env, object.kind, object.id)
}

/// The trunk as LiveKit should have it; none where it was deleted.
async fn outbound_trunk(
    app: &App,
    tx: &mut TenantTx,
    id: TrunkId,
) -> Result<Option<OutboundTrunk>, SyncError> {
    let Some((trunk, object)) = sip_trunks::find(tx, id, false).await? else {
        return Ok(None);
    };
    let password = secrets::owned(app, tx, id.uuid()).await?;
    let transport = Transport::try_from(trunk.transport).unwrap_or_default();
    Ok(Some(OutboundTrunk {
        name: format!("{}{}", prefix(app, &object), trunk.revision),
        address: trunk.address,
        transport: match transport {
            Transport::Auto => patchbay_livekit::Transport::Auto,
            Transport::Udp => patchbay_livekit::Transport::Udp,
            Transport::Tcp => patchbay_livekit::Transport::Tcp,
            Transport::Tls => patchbay_livekit::Transport::Tls,
        },
        numbers: trunk.numbers,
        credentials: trunk.username.map(|username| Credentials {
            username,
            password: password.unwrap_or_default(),
        }),
    }))
}

/// Makes LiveKit have this trunk once, or not at all; answers its id.
async fn put_trunk(
    app: &App,
    object: &SipObject,
    wanted: Option<OutboundTrunk>,
) -> Result<Option<String>, patchbay_livekit::Error> {
    let prefix = prefix(app, object);
    let mut found = app.livekit.list_outbound_trunks().await?;
    found.retain(|found| found.name.starts_with(&prefix));
    // The one whose id is known comes first: calls may be under way through it.
    found.sort_by_key(|found| object.trunk_sid.as_ref() != Some(&found.sid));
    let mut found = found.into_iter();
    let sid = match (wanted, found.next()) {
        (Some(wanted), Some(known)) if wanted.name == known.name => Some(known.sid),
        (Some(wanted), known) => {
            let sid = known.as_ref().map(|known| &*known.sid);
            Some(app.livekit.put_outbound_trunk(sid, &wanted).await?)
        }
        (None, Some(known)) => {
            app.livekit.delete_trunk(&known.sid).await?;
            None
        }
        (None, None) => None,
    };
    for surplus in found {
        app.livekit.delete_trunk(&surplus.sid).await?;
    }
    Ok(sid)
}

/// Finds what LiveKit has lost, and what it has of ours and should not have.
pub async fn sweep(app: &App) -> Result<(), SyncError> {
    let trunks = app.livekit.list_outbound_trunks().await?;
    let mut ours = owners(app, sip_objects::TRUNK, &trunks);
    let present: HashSet<&str> = trunks.iter().map(|found| &*found.sid).collect();
    let mut after = Uuid::nil();
    loop {
        let mut connection = app.db.connection().await?;
        let page = sip_objects::page_after(&mut connection, after).await?;
        drop(connection);
        let Some(last) = page.last() else { break };
        after = last.id;
        for object in page {
            ours.remove(&object.id);
            let lost = |sid: &String| !present.contains(&**sid);
            if object.trunk_sid.as_ref().is_some_and(lost) {
                let mut tx = app.db.begin(object.tenant_id).await?;
                ask(app, &mut tx, object.id, &object.kind).await?;
                tx.commit().await?;
            }
        }
    }
    for sid in ours.into_values() {
        tracing::warn!(%sid, "deleting a SIP trunk of ours that nobody knows");
        app.livekit.delete_trunk(sid).await?;
    }
    app.job_due.notify_one();
    Ok(())
}

/// Which of our resources these objects of LiveKit's say they belong to.
fn owners<'a>(app: &App, kind: &str, found: &'a [Found]) -> HashMap<Uuid, &'a str> {
    let prefix = format!("{}-{kind}-", app.settings.env);
    let owner = |found: &'a Found| {
        let id = found.name.strip_prefix(&prefix)?.get(..36)?;
        Some((id.parse().ok()?, &*found.sid))
    };
    found.iter().filter_map(owner).collect()
}
