//! Handlers of inbound mappings.

use patchbay_domain::{
    Invalid, MappingId, RawJson, TenantId, states::SipObjectKind, text::OneLine,
};
use patchbay_persistence::{TenantTx, inbound_mappings as mappings, numbers};

use super::dto::{
    Claim, ClaimCall, CreateInboundMapping, InboundMapping, InboundMappingFilter,
    PatchInboundMapping, Resolution, ResolveNumber,
};
use crate::{
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, Path,
        scopes::{InboundMappingsRead, InboundMappingsWrite, Worker},
    },
    response::{Created, Deleted, Entity, Page},
    routes::sessions::AgentRunConfig,
};
use patchbay_service::{
    Error, Result, Service,
    audit::{Change, Event},
    idempotency::Idempotent,
    secrets::store_owned,
    sessions::run_configuration,
    telephony::{
        claim::claim as claim_call,
        credentials,
        mappings::{
            checked_headers, checked_hours, delete as delete_mapping, require_origin, shared_worker,
        },
        origins, resolve,
        sip_object::request_sync,
    },
};

/// Builds the row of a new mapping. The worker name is still empty: it is that of the agents, which are read in the
/// transaction.
fn new_row(
    service: &Service,
    tenant: TenantId,
    body: CreateInboundMapping,
) -> Result<mappings::Mapping> {
    let now = service.clock.now();
    let allowed_addresses =
        origins::checked(body.allowed_addresses, &service.settings.outbound_allow)?;
    credentials::require_both(body.username.is_some(), body.password.is_some())?;
    require_origin(&allowed_addresses, body.username.is_some())?;
    Ok(mappings::Mapping {
        tenant_id: tenant,
        id: service.clock.new_id(),
        number: body.number.to_string(),
        agent_id: body.agent_id,
        closed_agent_id: body.closed_agent_id,
        worker_name: String::new(),
        variables: RawJson::of(&body.variables).map_err(Error::internal)?,
        allowed_addresses,
        username: body.username.map(OneLine::into_inner),
        enabled: body.enabled.unwrap_or(true),
        hours: checked_hours(body.hours)?,
        headers: checked_headers(body.headers)?,
        revision: 1,
        created_at: now,
        updated_at: now,
    })
}

pub(super) async fn create(
    caller: Caller<InboundMappingsWrite>,
    Json(body): Json<CreateInboundMapping>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<InboundMapping>>> {
    let tenant = caller.tenant()?;
    let password = body.password.clone();
    let row = new_row(&caller.service, tenant, body)?;
    let created = caller
        .once(&key, async |tx| {
            let value = insert(&caller.service, tx, row, password).await?;
            let event = Event::created("inbound_mapping", value.id, &value);
            let location = format!("/api/tenants/{tenant}/inbound-mappings/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await?;
    caller.service.job_due.notify_one();
    Ok(created)
}

async fn insert(
    service: &Service,
    tx: &mut TenantTx,
    mut row: mappings::Mapping,
    password: Option<OneLine<1, 200>>,
) -> Result<InboundMapping> {
    row.worker_name = shared_worker(tx, row.agent_id, row.closed_agent_id).await?;
    if !numbers::lock_shared(tx, &row.number).await? {
        let message = "the operator has not assigned this number to the tenant";
        let invalid = Invalid::new("number_not_assigned", message);
        return Err(Error::invalid_at("/number", invalid));
    }
    mappings::insert(tx, &row).await?;
    if let Some(password) = password {
        store_owned(service, tx, row.id.uuid(), &password).await?;
    }
    request_mapping_sync(service, tx, row).await
}

/// Requests a sync of the mapping to LiveKit and returns the mapping with its sync status.
async fn request_mapping_sync(
    service: &Service,
    tx: &mut TenantTx,
    row: mappings::Mapping,
) -> Result<InboundMapping> {
    let object = request_sync(service, tx, row.id.uuid(), SipObjectKind::Mapping).await?;
    Ok((row, object).into())
}

pub(super) async fn list(
    caller: Caller<InboundMappingsRead>,
    list: List<InboundMappingFilter>,
) -> Result<Page<InboundMapping>> {
    let filter = mappings::Filter {
        number: list.filter.number.as_ref().map(ToString::to_string),
        agent_id: list.filter.agent_id,
        enabled: list.filter.enabled,
    };
    let mut tx = caller.read().await?;
    let rows = mappings::list(&mut tx, list.window, filter).await?;
    tx.finish();
    let id = |(row, _): &(mappings::Mapping, _)| row.id.uuid();
    Ok(Page::new(rows, id, InboundMapping::from))
}

pub(super) async fn get(
    caller: Caller<InboundMappingsRead>,
    Path((_, id)): Path<(TenantId, MappingId)>,
) -> Result<Entity<InboundMapping>> {
    let mut tx = caller.read().await?;
    let found = mappings::find(&mut tx, id).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.into()))
}

pub(super) async fn patch(
    caller: Caller<InboundMappingsWrite>,
    Path((_, id)): Path<(TenantId, MappingId)>,
    if_match: IfMatch,
    Json(body): Json<PatchInboundMapping>,
) -> Result<Entity<InboundMapping>> {
    let mapping = caller
        .change(async |tx| {
            let found = mappings::lock(tx, id).await?;
            let (mut row, object) = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            let before = InboundMapping::from((row.clone(), object));
            let password = body.apply(&caller.service, &mut row)?;
            row.worker_name = shared_worker(tx, row.agent_id, row.closed_agent_id).await?;
            row.revision += 1;
            row.updated_at = caller.service.clock.now();
            mappings::update(tx, &row).await?;
            let username = row.username.as_deref();
            credentials::store(&caller.service, tx, id.uuid(), username, password).await?;
            let after = request_mapping_sync(&caller.service, tx, row).await?;
            let event = Event::updated("inbound_mapping", id, &before, &after);
            Ok(Change::one(after, event))
        })
        .await?;
    caller.service.job_due.notify_one();
    Ok(Entity(mapping))
}

pub(super) async fn delete(
    caller: Caller<InboundMappingsWrite>,
    Path((_, id)): Path<(TenantId, MappingId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    let deleted = caller
        .change(async |tx| {
            let found = mappings::lock(tx, id).await?;
            let (row, object) = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            delete_mapping(&caller.service, tx, id).await?;
            let before = InboundMapping::from((row, object));
            let event = Event::deleted("inbound_mapping", id, &before);
            Ok(Change::one(Deleted, event))
        })
        .await?;
    caller.service.job_due.notify_one();
    Ok(deleted)
}

pub(super) async fn claim(
    caller: Caller<Worker>,
    Path((tenant, id)): Path<(TenantId, MappingId)>,
    Json(body): Json<ClaimCall>,
) -> Result<Entity<Claim>> {
    let claimed = claim_call(&caller.service, tenant, id, &body.room_name).await?;
    let (session_id, run_id) = (claimed.session_id, claimed.agent_run_id);
    let (service, origin) = (&caller.service, &caller.origin);
    let found = run_configuration::load(service, origin, tenant, (session_id, run_id)).await?;
    Ok(Entity(Claim {
        session_id,
        agent_run_id: run_id,
        call_id: claimed.call_id,
        config: AgentRunConfig::new(tenant, (session_id, run_id), found),
    }))
}

pub(super) async fn resolve(
    caller: Caller<InboundMappingsRead>,
    Json(body): Json<ResolveNumber>,
) -> Result<Entity<Resolution>> {
    let at = body.at.unwrap_or_else(|| caller.service.clock.now());
    let mut tx = caller.read().await?;
    let resolved = resolve::resolve(&mut tx, body.number.to_string(), at).await?;
    tx.finish();
    Ok(Entity(resolved.into()))
}
