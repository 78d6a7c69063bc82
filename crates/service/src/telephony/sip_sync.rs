//! The job of a SIP trunk or mapping: LiveKit is to have of it exactly what is recorded.
//!
//! LiveKit gives its objects ids of its own and knows no idempotency, so each is found again by its
//! name, which ends in the revision that it was made from: what is there in this revision is right,
//! what is there in another is replaced, and what is there twice goes.

use patchbay_domain::{
    TenantId,
    states::{SipObjectKind, SyncState},
};
use patchbay_livekit::{DispatchRule, InboundTrunk, OutboundTrunk, SipObject as Found};
use patchbay_persistence::{
    VerifiedTenant,
    sip_objects::{self, SipObject},
};
use uuid::Uuid;

use super::{
    sip_definition::{Definition, definition_of},
    sip_names::prefix,
};
use crate::{Service, faults::crash_here, jobs::error::JobError};

/// What LiveKit answers.
pub(super) type FromLiveKit<T> = Result<T, patchbay_livekit::Error>;

/// LiveKit's ids of a trunk and a rule.
type Sids = (Option<String>, Option<String>);

/// Runs the job.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn sync(service: &Service, tenant: TenantId, id: Uuid) -> Result<(), JobError> {
    let mut tx = service.db.begin(tenant).await?;
    let Some(object) = sip_objects::find(&mut tx, id).await? else {
        return Ok(());
    };
    let definition = definition_of(service, &mut tx, &object).await?;
    tx.finish();
    let is_absent = matches!(definition, Definition::Absent(_));
    let outcome = apply(service, &object, definition).await;
    let mut connection = service.db.connection().await?;
    let attempts = object.attempts + 1;
    match outcome {
        Ok(_) if is_absent => Ok(sip_objects::forget(&mut connection, id).await?),
        Ok((trunk_sid, rule_sid)) => {
            let synced = SipObject {
                trunk_sid,
                rule_sid,
                sync_state: SyncState::Synced,
                error: None,
                attempts,
                synced_at: Some(service.clock.now()),
                ..object
            };
            Ok(sip_objects::update(&mut connection, &synced).await?)
        }
        Err(failure) => {
            let failed = SipObject {
                sync_state: SyncState::Failed,
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

/// Makes LiveKit have it as it is defined, once, and nothing else of this resource.
async fn apply(service: &Service, object: &SipObject, definition: Definition) -> FromLiveKit<Sids> {
    match definition {
        Definition::Trunk(trunk) => put_trunk(service, object, trunk).await,
        Definition::Mapping(trunk, rule) => put_mapping(service, object, trunk, rule).await,
        Definition::Disabled => delete_all(service, object).await,
        Definition::Absent(verified) => delete_absent(service, object, verified).await,
    }
}

async fn put_trunk(
    service: &Service,
    object: &SipObject,
    trunk: OutboundTrunk,
) -> FromLiveKit<Sids> {
    let livekit = &service.livekit;
    let trunks = of_ours(
        livekit.list_outbound_trunks().await?,
        &prefix(service, object),
        &object.trunk_sid,
    );
    let sid = match trunks.first().filter(|known| known.name == trunk.name) {
        Some(known) => known.sid.clone(),
        None => livekit.put_outbound_trunk(first(&trunks), &trunk).await?,
    };
    delete_trunks(service, trunks, Some(&sid)).await?;
    Ok((Some(sid), None))
}

async fn put_mapping(
    service: &Service,
    object: &SipObject,
    trunk: InboundTrunk,
    mut rule: DispatchRule,
) -> FromLiveKit<Sids> {
    let livekit = &service.livekit;
    let (trunks, rules) = inbound_objects(service, object).await?;
    let trunk_sid = match trunks.first().filter(|known| known.name == trunk.name) {
        Some(known) => known.sid.clone(),
        None => livekit.put_inbound_trunk(first(&trunks), &trunk).await?,
    };
    crash_here(service, "after_inbound_trunk");
    rule.trunk_sid.clone_from(&trunk_sid);
    let is_right = |known: &&Found| known.name == rule.name && known.trunk_sids == [&*trunk_sid];
    let rule_sid = match rules.first().filter(is_right) {
        Some(known) => known.sid.clone(),
        None => livekit.put_dispatch_rule(first(&rules), &rule).await?,
    };
    crash_here(service, "after_dispatch_rule");
    delete_rules(service, rules, Some(&rule_sid)).await?;
    delete_trunks(service, trunks, Some(&trunk_sid)).await?;
    Ok((Some(trunk_sid), Some(rule_sid)))
}

/// Deletes what LiveKit has of a resource whose row is gone.
async fn delete_absent(
    service: &Service,
    object: &SipObject,
    _: VerifiedTenant,
) -> FromLiveKit<Sids> {
    delete_all(service, object).await
}

/// Deletes what LiveKit has of a resource.
async fn delete_all(service: &Service, object: &SipObject) -> FromLiveKit<Sids> {
    if object.kind == SipObjectKind::Trunk {
        let trunks = service.livekit.list_outbound_trunks().await?;
        let trunks = of_ours(trunks, &prefix(service, object), &object.trunk_sid);
        delete_trunks(service, trunks, None).await?;
        return Ok((None, None));
    }
    let (trunks, rules) = inbound_objects(service, object).await?;
    // The rule first: without its trunk it might answer for others.
    delete_rules(service, rules, None).await?;
    delete_trunks(service, trunks, None).await?;
    Ok((None, None))
}

/// The trunks and rules that LiveKit has of a mapping.
async fn inbound_objects(
    service: &Service,
    object: &SipObject,
) -> FromLiveKit<(Vec<Found>, Vec<Found>)> {
    let prefix = prefix(service, object);
    let trunks = service.livekit.list_inbound_trunks().await?;
    let rules = service.livekit.list_dispatch_rules().await?;
    Ok((
        of_ours(trunks, &prefix, &object.trunk_sid),
        of_ours(rules, &prefix, &object.rule_sid),
    ))
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

pub(super) async fn delete_trunks(
    service: &Service,
    found: Vec<Found>,
    but: Option<&str>,
) -> FromLiveKit<()> {
    for surplus in found.iter().filter(|found| Some(&*found.sid) != but) {
        service.livekit.delete_trunk(&surplus.sid).await?;
    }
    Ok(())
}

pub(super) async fn delete_rules(
    service: &Service,
    found: Vec<Found>,
    but: Option<&str>,
) -> FromLiveKit<()> {
    for surplus in found.iter().filter(|found| Some(&*found.sid) != but) {
        service.livekit.delete_dispatch_rule(&surplus.sid).await?;
    }
    Ok(())
}
