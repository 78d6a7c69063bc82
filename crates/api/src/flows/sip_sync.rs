//! The job of a SIP trunk or mapping: LiveKit is to have of it exactly what is recorded.
//!
//! LiveKit gives its objects ids of its own and knows no idempotency, so each is found again by its
//! name, which ends in the revision that it was made from: what is there in this revision is right,
//! what is there in another is replaced, and what is there twice goes.

use std::{collections::HashSet, time::Duration};

use patchbay_domain::{
    MappingId, TenantId, TrunkId,
    sip::{SipAddress, Transport},
};
use patchbay_livekit::{
    Credentials, DispatchRule, InboundTrunk, OutboundTrunk, SipObject as Found,
};
use patchbay_persistence::{
    TenantTx,
    inbound_mappings::{self, Mapping},
    jobs,
    sip_objects::{self, SipObject},
    sip_trunks::{self, SipTrunk},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    inbound::RING,
    secrets,
    sync::{SyncError, crash_here},
};
use crate::{app::App, error::ApiError, stored};

/// What telling LiveKit comes to.
type Told<T> = Result<T, patchbay_livekit::Error>;

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

/// What LiveKit is to have of a resource.
enum Wanted {
    Trunk(OutboundTrunk),
    /// A trunk and a rule, which lacks the trunk's id.
    Mapping(InboundTrunk, DispatchRule),
    Nothing,
}

/// LiveKit's ids of a trunk and a rule.
type Sids = (Option<String>, Option<String>);

/// Runs the job.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn sync(app: &App, tenant: TenantId, id: Uuid) -> Result<(), SyncError> {
    let mut tx = app.db.begin(tenant).await?;
    let Some(object) = sip_objects::find(&mut tx, id).await? else {
        return Ok(());
    };
    let (wanted, is_gone) = wanted(app, &mut tx, &object).await?;
    tx.finish();
    let outcome = apply(app, &object, wanted).await;
    let mut connection = app.db.connection().await?;
    let attempts = object.attempts + 1;
    match outcome {
        Ok(_) if is_gone => Ok(sip_objects::forget(&mut connection, id).await?),
        Ok((trunk_sid, rule_sid)) => {
            let synced = SipObject {
                trunk_sid,
                rule_sid,
                sync_state: "synced".to_owned(),
                error: None,
                attempts,
                synced_at: Some(app.clock.now()),
                ..object
            };
            Ok(sip_objects::update(&mut connection, &synced).await?)
        }
        Err(failure) => {
            let failed = SipObject {
                sync_state: "failed".to_owned(),
                error: Some(words(&failure)),
                attempts,
                ..object
            };
            sip_objects::update(&mut connection, &failed).await?;
            Err(failure.into())
        }
    }
}

/// What is wrong, for whoever has to mend it.
fn words(failure: &patchbay_livekit::Error) -> String {
    match failure {
        patchbay_livekit::Error::Refused { message, .. } => {
            let message: String = message.chars().take(500).collect();
            format!("{}: {message}", failure.summary())
        }
        _ => failure.summary(),
    }
}

/// The beginning of the names of a resource's objects.
fn prefix(app: &App, object: &SipObject) -> String {
    format!("{}-{}-{}-", app.settings.env, object.kind, object.id)
}

/// What LiveKit is to have, and whether the resource was deleted.
async fn wanted(
    app: &App,
    tx: &mut TenantTx,
    object: &SipObject,
) -> Result<(Wanted, bool), SyncError> {
    let password = secrets::owned(app, tx, object.id).await?;
    let credentials = |username: Option<String>| match (username, password) {
        (Some(username), Some(password)) => Ok(Some(Credentials { username, password })),
        (None, _) => Ok(None),
        // Without its password LiveKit would let anybody in.
        (Some(_), None) => Err(ApiError::internal("a user name without its password")),
    };
    let prefix = prefix(app, object);
    if object.kind == sip_objects::TRUNK {
        let found = sip_trunks::find(tx, TrunkId::new(object.id), false).await?;
        return Ok(match found {
            Some((mut trunk, _)) => {
                let credentials = credentials(trunk.username.take())?;
                (Wanted::Trunk(outbound(&prefix, trunk, credentials)?), false)
            }
            None => (Wanted::Nothing, true),
        });
    }
    let found = inbound_mappings::find(tx, MappingId::new(object.id), false).await?;
    Ok(match found {
        Some((mut mapping, _)) if mapping.enabled => {
            let credentials = credentials(mapping.username.take())?;
            let (trunk, rule) = inbound(app, &prefix, mapping, credentials);
            (Wanted::Mapping(trunk, rule), false)
        }
        Some(_) => (Wanted::Nothing, false),
        None => (Wanted::Nothing, true),
    })
}

fn outbound(
    prefix: &str,
    trunk: SipTrunk,
    credentials: Option<Credentials>,
) -> Result<OutboundTrunk, ApiError> {
    Ok(OutboundTrunk {
        name: format!("{prefix}{}", trunk.revision),
        address: with_port(&trunk),
        transport: match stored::word(trunk.tenant_id, "sip_trunks.transport", trunk.transport)? {
            Transport::Auto => patchbay_livekit::Transport::Auto,
            Transport::Udp => patchbay_livekit::Transport::Udp,
            Transport::Tcp => patchbay_livekit::Transport::Tcp,
            Transport::Tls => patchbay_livekit::Transport::Tls,
        },
        numbers: trunk.numbers,
        credentials,
    })
}

/// The address with its port: without one LiveKit would follow the SRV records of a name, which nobody
/// has checked.
fn with_port(trunk: &SipTrunk) -> String {
    let usual = match &*trunk.transport {
        "tls" => 5061,
        _ => 5060,
    };
    match trunk.address.parse::<SipAddress>() {
        Ok(SipAddress { host, port }) => format!("{host}:{}", port.unwrap_or(usual)),
        Err(_) => trunk.address.clone(),
    }
}

/// The attribute of a telephone that carries a SIP header.
fn attribute_of(header: &str) -> String {
    format!("header.{}", header.to_ascii_lowercase())
}

fn inbound(
    app: &App,
    prefix: &str,
    mapping: Mapping,
    credentials: Option<Credentials>,
) -> (InboundTrunk, DispatchRule) {
    let name = format!("{prefix}{}", mapping.revision);
    let rule = DispatchRule {
        name: name.clone(),
        trunk_sid: String::new(),
        room_prefix: room_prefix(app, mapping.id),
        agent_name: mapping.worker_name,
        metadata: json!({ "tenant_id": mapping.tenant_id, "mapping_id": mapping.id }).to_string(),
        empty_timeout: app.settings.room_empty_timeout.seconds(),
        departure_timeout: app.settings.room_departure_timeout.seconds(),
        max_participants: app.settings.max_participants,
    };
    let headers = mapping.headers.into_iter();
    let trunk = InboundTrunk {
        name,
        number: mapping.number,
        allowed_addresses: mapping.allowed_addresses,
        ring: Duration::from_secs(RING.into()),
        credentials,
        headers_to_attributes: headers
            .map(|header| (header.clone(), attribute_of(&header)))
            .collect(),
    };
    (trunk, rule)
}

/// The beginning of the names of rooms that calls to a mapping have.
pub fn room_prefix(app: &App, mapping: MappingId) -> String {
    format!("{}-in-{mapping}", app.settings.env)
}

/// Makes LiveKit have what is wanted, once, and nothing else of this resource.
async fn apply(app: &App, object: &SipObject, wanted: Wanted) -> Told<Sids> {
    let livekit = &app.livekit;
    let prefix = prefix(app, object);
    if object.kind == sip_objects::TRUNK {
        let found = of_ours(
            livekit.list_outbound_trunks().await?,
            &prefix,
            &object.trunk_sid,
        );
        let sid = match wanted {
            Wanted::Trunk(trunk) => {
                let known = found.first().filter(|known| known.name == trunk.name);
                match known {
                    Some(known) => Some(known.sid.clone()),
                    None => Some(livekit.put_outbound_trunk(first(&found), &trunk).await?),
                }
            }
            _ => None,
        };
        delete_trunks(app, found, sid.as_deref()).await?;
        return Ok((sid, None));
    }
    let trunks = of_ours(
        livekit.list_inbound_trunks().await?,
        &prefix,
        &object.trunk_sid,
    );
    let rules = of_ours(
        livekit.list_dispatch_rules().await?,
        &prefix,
        &object.rule_sid,
    );
    let Wanted::Mapping(trunk, mut rule) = wanted else {
        // The rule first: without its trunk it might answer for others.
        delete_rules(app, rules, None).await?;
        delete_trunks(app, trunks, None).await?;
        return Ok((None, None));
    };
    let trunk_sid = match trunks.first().filter(|known| known.name == trunk.name) {
        Some(known) => known.sid.clone(),
        None => livekit.put_inbound_trunk(first(&trunks), &trunk).await?,
    };
    crash_here(app, "after_inbound_trunk");
    rule.trunk_sid.clone_from(&trunk_sid);
    let is_right = |known: &&Found| known.name == rule.name && known.trunk_sids == [&*trunk_sid];
    let rule_sid = match rules.first().filter(is_right) {
        Some(known) => known.sid.clone(),
        None => livekit.put_dispatch_rule(first(&rules), &rule).await?,
    };
    crash_here(app, "after_dispatch_rule");
    delete_rules(app, rules, Some(&rule_sid)).await?;
    delete_trunks(app, trunks, Some(&trunk_sid)).await?;
    Ok((Some(trunk_sid), Some(rule_sid)))
}

/// Those of a resource, the one whose id is known first: calls may be under way through it.
fn of_ours(mut found: Vec<Found>, prefix: &str, known: &Option<String>) -> Vec<Found> {
    found.retain(|found| found.name.starts_with(prefix));
    found.sort_by_key(|found| known.as_ref() != Some(&found.sid));
    found
}

fn first(found: &[Found]) -> Option<&str> {
    found.first().map(|found| &*found.sid)
}

async fn delete_trunks(app: &App, found: Vec<Found>, but: Option<&str>) -> Told<()> {
    for surplus in found.iter().filter(|found| Some(&*found.sid) != but) {
        app.livekit.delete_trunk(&surplus.sid).await?;
    }
    Ok(())
}

async fn delete_rules(app: &App, found: Vec<Found>, but: Option<&str>) -> Told<()> {
    for surplus in found.iter().filter(|found| Some(&*found.sid) != but) {
        app.livekit.delete_dispatch_rule(&surplus.sid).await?;
    }
    Ok(())
}

/// Finds what LiveKit has lost, and what it has of ours and should not have.
pub async fn sweep(app: &App) -> Result<(), SyncError> {
    if page_after(app, Uuid::nil()).await?.is_empty() {
        // No telephone, and none that is being forgotten: LiveKit is left in peace.
        return Ok(());
    }
    let outbound = app.livekit.list_outbound_trunks().await?;
    let inbound = app.livekit.list_inbound_trunks().await?;
    let rules = app.livekit.list_dispatch_rules().await?;
    let all = || outbound.iter().chain(&inbound).chain(&rules);
    let present: HashSet<&str> = all().map(|found| &*found.sid).collect();
    let mut strays: HashSet<Uuid> = all().filter_map(|found| owner(app, found)).collect();
    // After LiveKit's lists, so that whatever is listed has its row by now.
    let mut page = page_after(app, Uuid::nil()).await?;
    while let Some(last) = page.last().map(|object| object.id) {
        for object in page {
            strays.remove(&object.id);
            let sids = [&object.trunk_sid, &object.rule_sid];
            let lost = sids
                .into_iter()
                .flatten()
                .any(|sid| !present.contains(&**sid));
            if lost {
                let mut tx = app.db.begin(object.tenant_id).await?;
                ask(app, &mut tx, object.id, &object.kind).await?;
                tx.commit().await?;
            }
        }
        page = page_after(app, last).await?;
    }
    let is_stray = |found: &&Found| owner(app, found).is_some_and(|id| strays.contains(&id));
    // What is nobody's of ours any more: rules before their trunks.
    let of = |found: &[Found]| found.iter().filter(is_stray).cloned().collect::<Vec<_>>();
    delete_rules(app, of(&rules), None).await?;
    delete_trunks(app, of(&inbound), None).await?;
    delete_trunks(app, of(&outbound), None).await?;
    app.job_due.notify_one();
    Ok(())
}

async fn page_after(app: &App, id: Uuid) -> Result<Vec<SipObject>, SyncError> {
    let mut connection = app.db.connection().await?;
    Ok(sip_objects::page_after(&mut connection, id).await?)
}

/// Which of our resources an object of LiveKit's says it belongs to.
fn owner(app: &App, found: &Found) -> Option<Uuid> {
    let rest = found
        .name
        .strip_prefix(&app.settings.env)?
        .strip_prefix('-')?;
    let kinds = [sip_objects::TRUNK, sip_objects::MAPPING];
    let id = kinds
        .iter()
        .find_map(|kind| rest.strip_prefix(kind)?.strip_prefix('-'))?;
    id.get(..36)?.parse().ok()
}
