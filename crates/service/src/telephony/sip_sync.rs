//! The job of a SIP trunk or mapping, which brings LiveKit to the recorded state.
//!
//! LiveKit assigns its own ids and has no idempotency keys, so objects are found again by name. The name ends in
//! the revision that the object was created from: an object of the current revision is kept, one of another
//! revision is replaced, and duplicates are deleted.

use patchbay_domain::{TenantId, states::SipObjectKind};
use patchbay_livekit::{DispatchRule, InboundTrunk, OutboundTrunk, SipObject as Found};
use patchbay_persistence::{
    VerifiedTenant,
    sip_objects::{self, Outcome, SipObject},
};
use uuid::Uuid;

use super::{
    sip_definition::{Definition, definition_of},
    sip_names::prefix,
};
use crate::{Service, faults::crash_here, instruments::record_sync, jobs::error::JobError};

/// Result of a request to LiveKit.
pub(super) type LiveKitResult<T> = Result<T, patchbay_livekit::Error>;

/// LiveKit's ids of a trunk and a rule.
type Sids = (Option<String>, Option<String>);

/// Runs the job.
#[tracing::instrument(skip_all, fields(%tenant, %id), err(level = "warn"))]
pub async fn sync(service: &Service, tenant: TenantId, id: Uuid) -> Result<(), JobError> {
    let mut tx = service.db.begin(tenant).await?;
    let Some(object) = sip_objects::find(&mut tx, id).await? else {
        return Ok(());
    };
    let definition = definition_of(service, &mut tx, &object).await;
    tx.finish();
    let definition = match definition {
        Ok(definition) => definition,
        Err(error) => {
            let failed = failure(&object, error.to_string());
            record(service, &object, failed).await?;
            return Err(error);
        }
    };
    let (is_absent, name) = (definition.is_absent(), definition.name());
    match apply(service, &object, definition).await {
        Ok(_) if is_absent => {
            let mut tx = service.db.begin(tenant).await?;
            sip_objects::delete_record(&mut tx, id).await?;
            Ok(tx.commit().await?)
        }
        Ok((trunk_sid, rule_sid)) => {
            let synced = Outcome {
                trunk_sid,
                rule_sid,
                name,
                error: None,
            };
            record(service, &object, synced).await
        }
        Err(error) => {
            let failed = failure(&object, error_message(&error));
            record(service, &object, failed).await?;
            Err(error.into())
        }
    }
}

/// A failed sync, which leaves in LiveKit what was there.
fn failure(object: &SipObject, error: String) -> Outcome {
    Outcome {
        trunk_sid: object.trunk_sid.clone(),
        rule_sid: object.rule_sid.clone(),
        name: object.synced_name.clone(),
        error: Some(error),
    }
}

async fn record(service: &Service, object: &SipObject, outcome: Outcome) -> Result<(), JobError> {
    record_sync(outcome.error.is_none());
    let mut tx = service.db.begin(object.tenant_id).await?;
    sip_objects::record(&mut tx, object, outcome, service.clock.now()).await?;
    Ok(tx.commit().await?)
}

/// Returns the error with LiveKit's message, at most 500 characters, for the tenant's users.
fn error_message(failure: &patchbay_livekit::Error) -> String {
    match failure {
        patchbay_livekit::Error::Refused { message, .. } => {
            let message: String = message.chars().take(500).collect();
            format!("{}: {message}", failure.summary())
        }
        _ => failure.summary(),
    }
}

/// Brings the resource in LiveKit to its desired state, without duplicates.
async fn apply(
    service: &Service,
    object: &SipObject,
    definition: Definition,
) -> LiveKitResult<Sids> {
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
) -> LiveKitResult<Sids> {
    let livekit = &service.livekit;
    let trunks = of_resource(
        livekit.list_outbound_trunks().await?,
        &prefix(service, object),
        &object.trunk_sid,
    );
    let sid = match trunks.first().filter(|found| found.name == trunk.name) {
        Some(found) => found.sid.clone(),
        None => {
            livekit
                .put_outbound_trunk(first_sid(&trunks), &trunk)
                .await?
        }
    };
    delete_trunks(service, trunks, Some(&sid)).await?;
    Ok((Some(sid), None))
}

async fn put_mapping(
    service: &Service,
    object: &SipObject,
    trunk: InboundTrunk,
    mut rule: DispatchRule,
) -> LiveKitResult<Sids> {
    let livekit = &service.livekit;
    let (trunks, rules) = inbound_objects(service, object).await?;
    let trunk_sid = match trunks.first().filter(|found| found.name == trunk.name) {
        Some(found) => found.sid.clone(),
        None => {
            livekit
                .put_inbound_trunk(first_sid(&trunks), &trunk)
                .await?
        }
    };
    crash_here(service, "after_inbound_trunk");
    rule.trunk_sid.clone_from(&trunk_sid);
    let is_right = |found: &&Found| found.name == rule.name && found.trunk_sids == [&*trunk_sid];
    let rule_sid = match rules.first().filter(is_right) {
        Some(found) => found.sid.clone(),
        None => livekit.put_dispatch_rule(first_sid(&rules), &rule).await?,
    };
    crash_here(service, "after_dispatch_rule");
    delete_rules(service, rules, Some(&rule_sid)).await?;
    delete_trunks(service, trunks, Some(&trunk_sid)).await?;
    Ok((Some(trunk_sid), Some(rule_sid)))
}

/// Deletes the objects of a resource whose row was deleted.
async fn delete_absent(
    service: &Service,
    object: &SipObject,
    _: VerifiedTenant,
) -> LiveKitResult<Sids> {
    delete_all(service, object).await
}

/// Deletes the objects of a resource.
async fn delete_all(service: &Service, object: &SipObject) -> LiveKitResult<Sids> {
    if object.kind == SipObjectKind::Trunk {
        let trunks = service.livekit.list_outbound_trunks().await?;
        let trunks = of_resource(trunks, &prefix(service, object), &object.trunk_sid);
        delete_trunks(service, trunks, None).await?;
        return Ok((None, None));
    }
    let (trunks, rules) = inbound_objects(service, object).await?;
    // The rule goes first: without its trunk it could apply to calls of other trunks.
    delete_rules(service, rules, None).await?;
    delete_trunks(service, trunks, None).await?;
    Ok((None, None))
}

/// Lists the trunks and rules of a mapping.
async fn inbound_objects(
    service: &Service,
    object: &SipObject,
) -> LiveKitResult<(Vec<Found>, Vec<Found>)> {
    let prefix = prefix(service, object);
    let trunks = service.livekit.list_inbound_trunks().await?;
    let rules = service.livekit.list_dispatch_rules().await?;
    Ok((
        of_resource(trunks, &prefix, &object.trunk_sid),
        of_resource(rules, &prefix, &object.rule_sid),
    ))
}

/// Keeps the objects of a resource, the one with the recorded id first: it may have calls in progress, so it is
/// the one to keep.
fn of_resource(mut found: Vec<Found>, prefix: &str, recorded: &Option<String>) -> Vec<Found> {
    found.retain(|found| found.name.starts_with(prefix));
    found.sort_by_key(|found| recorded.as_ref() != Some(&found.sid));
    found
}

fn first_sid(found: &[Found]) -> Option<&str> {
    found.first().map(|found| &*found.sid)
}

pub(super) async fn delete_trunks(
    service: &Service,
    found: Vec<Found>,
    except: Option<&str>,
) -> LiveKitResult<()> {
    for object in found.iter().filter(|found| Some(&*found.sid) != except) {
        service.livekit.delete_trunk(&object.sid).await?;
    }
    Ok(())
}

pub(super) async fn delete_rules(
    service: &Service,
    found: Vec<Found>,
    except: Option<&str>,
) -> LiveKitResult<()> {
    for object in found.iter().filter(|found| Some(&*found.sid) != except) {
        service.livekit.delete_dispatch_rule(&object.sid).await?;
    }
    Ok(())
}
