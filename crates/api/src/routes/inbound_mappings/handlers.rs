//! Create, read, change, delete and claim.

use patchbay_domain::{Invalid, MappingId, RawJson, TenantId, text::OneLine};
use patchbay_persistence::{TenantTx, inbound_mappings as mappings, numbers, sip_objects};

use super::{
    dto::{
        Claim, ClaimCall, CreateInboundMapping, InboundMapping, InboundMappingFilter,
        PatchInboundMapping, checked_headers, checked_hours, require_origin,
    },
    origins,
};
use crate::{
    answer::{Created, Deleted, Entity, Page},
    app::App,
    audit::{Change, Event},
    error::{ApiError, Result},
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, Path,
        scopes::{InboundMappingsRead, InboundMappingsWrite, Worker},
    },
    flows::{inbound, secrets::keep_owned, sip_sync},
    once::Once,
    routes::{credentials, sessions::run_config},
};

/// The row, without the worker name, which its agents tell.
fn row(app: &App, tenant: TenantId, body: CreateInboundMapping) -> Result<mappings::Mapping> {
    let now = app.clock.now();
    let allowed_addresses = origins::checked(body.allowed_addresses, &app.settings.outbound_allow)?;
    credentials::require_both(body.username.is_some(), body.password.is_some())?;
    require_origin(&allowed_addresses, body.username.is_some())?;
    Ok(mappings::Mapping {
        tenant_id: tenant,
        id: app.clock.new_id(),
        number: body.number.to_string(),
        agent_id: body.agent_id,
        closed_agent_id: body.closed_agent_id,
        worker_name: String::new(),
        variables: RawJson::of(&body.variables).map_err(ApiError::internal)?,
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
) -> Result<Once<Created<InboundMapping>>> {
    let tenant = caller.tenant()?;
    let password = body.password.clone();
    let row = row(&caller.app, tenant, body)?;
    let created = caller
        .once(&key, async |tx| {
            let value = insert(&caller.app, tx, row, password).await?;
            let event = Event::created("inbound_mapping", value.id, &value);
            let location = format!("/api/tenants/{tenant}/inbound-mappings/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await?;
    caller.app.job_due.notify_one();
    Ok(created)
}

async fn insert(
    app: &App,
    tx: &mut TenantTx,
    mut row: mappings::Mapping,
    password: Option<OneLine<1, 200>>,
) -> Result<InboundMapping> {
    row.worker_name = inbound::shared_worker(tx, row.agent_id, row.closed_agent_id).await?;
    if !numbers::hold(tx, &row.number).await? {
        let message = "the operator has not assigned this number to you";
        let invalid = Invalid::new("number_not_assigned", message);
        return Err(ApiError::invalid_at("/number", invalid));
    }
    mappings::insert(tx, &row).await?;
    if let Some(password) = password {
        keep_owned(app, tx, row.id.uuid(), &password).await?;
    }
    told(app, tx, row).await
}

/// The mapping, of which LiveKit is about to be told.
async fn told(app: &App, tx: &mut TenantTx, row: mappings::Mapping) -> Result<InboundMapping> {
    let object = sip_sync::ask(app, tx, row.id.uuid(), sip_objects::MAPPING).await?;
    Ok((row, object).into())
}

pub(super) async fn list(
    caller: Caller<InboundMappingsRead>,
    list: List<InboundMappingFilter>,
) -> Result<Page<InboundMapping>> {
    let enabled = list.filter.enabled.as_deref().map(str::parse).transpose();
    let enabled = enabled.map_err(|_| {
        let invalid = Invalid::new("invalid_value", "`true` or `false` is needed");
        ApiError::invalid_at("/enabled", invalid)
    })?;
    let filter = mappings::Filter {
        number: list.filter.number.as_ref().map(ToString::to_string),
        agent_id: list.filter.agent_id,
        enabled,
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
    let found = mappings::find(&mut tx, id, false).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(ApiError::not_found)?.into()))
}

pub(super) async fn patch(
    caller: Caller<InboundMappingsWrite>,
    Path((_, id)): Path<(TenantId, MappingId)>,
    if_match: IfMatch,
    Json(body): Json<PatchInboundMapping>,
) -> Result<Entity<InboundMapping>> {
    let mapping = caller
        .change(async |tx| {
            let found = mappings::find(tx, id, true).await?;
            let (mut row, object) = found.ok_or_else(ApiError::not_found)?;
            if_match.check(row.revision)?;
            let before = InboundMapping::from((row.clone(), object));
            let password = body.apply(&caller.app, &mut row)?;
            row.worker_name = inbound::shared_worker(tx, row.agent_id, row.closed_agent_id).await?;
            row.revision += 1;
            row.updated_at = caller.app.clock.now();
            mappings::update(tx, &row).await?;
            let username = row.username.as_deref();
            credentials::store(&caller.app, tx, id.uuid(), username, password).await?;
            let after = told(&caller.app, tx, row).await?;
            let event = Event::updated("inbound_mapping", id, &before, &after);
            Ok(Change::one(after, event))
        })
        .await?;
    caller.app.job_due.notify_one();
    Ok(Entity(mapping))
}

pub(super) async fn delete(
    caller: Caller<InboundMappingsWrite>,
    Path((_, id)): Path<(TenantId, MappingId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    let deleted = caller
        .change(async |tx| {
            let found = mappings::find(tx, id, true).await?;
            let (row, object) = found.ok_or_else(ApiError::not_found)?;
            if_match.check(row.revision)?;
            inbound::forget(&caller.app, tx, id).await?;
            let before = InboundMapping::from((row, object));
            let event = Event::deleted("inbound_mapping", id, &before);
            Ok(Change::one(Deleted, event))
        })
        .await?;
    caller.app.job_due.notify_one();
    Ok(deleted)
}

pub(super) async fn claim(
    caller: Caller<Worker>,
    Path((tenant, id)): Path<(TenantId, MappingId)>,
    Json(body): Json<ClaimCall>,
) -> Result<Entity<Claim>> {
    let claimed = inbound::claim(&caller.app, tenant, id, &body.room_name).await?;
    let (session, run) = (claimed.session_id, claimed.agent_run_id);
    Ok(Entity(Claim {
        session_id: session,
        agent_run_id: run,
        call_id: claimed.call_id,
        config: run_config(&caller, tenant, session, run).await?,
    }))
}
