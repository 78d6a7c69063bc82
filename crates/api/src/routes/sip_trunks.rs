//! SIP trunks: a tenant's accounts with carriers.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    PhoneNumber, TenantId, TrunkId,
    sip::{SipAddress, Transport},
    states::{SipObjectKind, SyncState},
    text::{Name, OneLine},
};
use patchbay_persistence::{TenantTx, calls, secrets, sip_objects, sip_trunks};
use patchbay_service::{
    Code, Error, Result, Service,
    audit::{Change, Event},
    idempotency::Once,
    secrets::keep_owned,
    telephony::trunks::{check_address, checked_numbers},
    telephony::{credentials as of_service, sip_object::request_sync},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::{Created, Deleted, Entity, Page, Resource},
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, NoFilter, Patch, Path,
        scopes::{SipTrunksRead, SipTrunksWrite},
    },
    openapi::{Doc, Tag},
    router::Api,
    routes::credentials,
};

/// What LiveKit has of it.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"state": "synced", "error": null, "attempts": 1, "synced_at": "2026-11-23T20:00:01Z"}))]
pub struct Sync {
    /// How far it has come.
    state: SyncState,
    /// What kept LiveKit from it.
    #[schema(max_length = 1000)]
    error: Option<String>,
    /// How often it was tried since the last change.
    #[schema(minimum = 0)]
    attempts: i32,
    /// When LiveKit last had it as it was here.
    synced_at: Option<DateTime<Utc>>,
}

impl From<sip_objects::SipObject> for Sync {
    fn from(row: sip_objects::SipObject) -> Self {
        Self {
            state: row.sync_state,
            error: row.error,
            attempts: row.attempts,
            synced_at: row.synced_at,
        }
    }
}

/// A SIP trunk.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fa0",
    "name": "carrier",
    "address": "sip.example.org:5061",
    "transport": "tls",
    "numbers": ["+4930123456"],
    "username": "acme",
    "sync": {"state": "synced", "error": null, "attempts": 1, "synced_at": "2026-11-23T20:00:01Z"},
    "revision": 1,
    "created_at": "2026-11-23T20:00:00Z",
    "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct SipTrunk {
    /// Id.
    id: TrunkId,
    /// Name for people, unique in the tenant.
    #[schema(max_length = 200)]
    name: String,
    /// Host of the carrier, and perhaps a port.
    #[schema(max_length = 255)]
    address: String,
    /// How the carrier is spoken to.
    #[schema(value_type = Transport)]
    transport: String,
    /// Numbers that calls may show as their origin; the first by default.
    #[schema(min_items = 1, max_items = 500, value_type = Vec<PhoneNumber>)]
    numbers: Vec<String>,
    /// User name with the carrier; null where it knows the address.
    #[schema(max_length = 200)]
    username: Option<String>,
    /// What LiveKit has of it.
    sync: Sync,
    /// Counts changes.
    #[schema(minimum = 1)]
    revision: i64,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl Resource for SipTrunk {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl From<(sip_trunks::SipTrunk, sip_objects::SipObject)> for SipTrunk {
    fn from((row, object): (sip_trunks::SipTrunk, sip_objects::SipObject)) -> Self {
        let sip_trunks::SipTrunk {
            tenant_id: _,
            id,
            name,
            address,
            transport,
            numbers,
            username,
            revision,
            created_at,
            updated_at,
        } = row;
        Self {
            id,
            name,
            address,
            transport: transport.as_str().to_owned(),
            numbers,
            username,
            sync: object.into(),
            revision,
            created_at,
            updated_at,
        }
    }
}

/// A trunk to be created.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "second carrier", "address": "sip.example.org:5061", "transport": "tls", "numbers": ["+49 30 123456"],
    "username": "acme", "password": "s3cret"
}))]
pub struct CreateSipTrunk {
    /// Name for people, unique in the tenant.
    name: Name,
    /// Host of the carrier, and perhaps a port. It must be on the internet, or in a network that the operator allows.
    address: SipAddress,
    /// How the carrier is spoken to.
    #[serde(default)]
    transport: Transport,
    /// Numbers that calls may show as their origin; the first by default.
    #[schema(min_items = 1, max_items = 500)]
    numbers: Vec<PhoneNumber>,
    /// User name with the carrier; it needs a password.
    username: Option<OneLine<1, 200>>,
    /// Password with the carrier. It is sealed, and never answered, logged or audited.
    #[schema(write_only)]
    password: Option<OneLine<1, 200>>,
}

/// A change of a trunk.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"numbers": ["+4930123456", "+4930123457"]}))]
pub struct PatchSipTrunk {
    /// Name for people, unique in the tenant.
    #[serde(default)]
    name: Patch<Name>,
    /// Host of the carrier, and perhaps a port.
    #[serde(default)]
    address: Patch<SipAddress>,
    /// How the carrier is spoken to.
    #[serde(default)]
    transport: Patch<Transport>,
    /// Numbers that calls may show as their origin; the first by default.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 500)]
    numbers: Patch<Vec<PhoneNumber>>,
    /// User name with the carrier; null takes it and the password away.
    #[serde(default)]
    username: Patch<Option<OneLine<1, 200>>>,
    /// Password with the carrier.
    #[serde(default)]
    #[schema(write_only)]
    password: Patch<OneLine<1, 200>>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::SipTrunks);
    let all = "/api/tenants/{tenant_id}/sip-trunks";
    let one = "/api/tenants/{tenant_id}/sip-trunks/{trunk_id}";
    api.add(
        all,
        create,
        Doc::post("createSipTrunk", "Create a SIP trunk")
            .about(
                "An account with a carrier, through which calls go out. LiveKit is told in \
                 the background: look at `sync`.",
            )
            .errors(&[Code::NameTaken, Code::SecretsNotConfigured]),
    );
    api.add(
        all,
        list,
        Doc::get("listSipTrunks", "List SIP trunks")
            .about("The tenant's trunks, newest first. Never their passwords."),
    );
    api.add(
        one,
        get,
        Doc::get("getSipTrunk", "Get a SIP trunk")
            .about("The trunk and what LiveKit has of it. Never its password."),
    );
    api.add(
        one,
        patch,
        Doc::patch("updateSipTrunk", "Update a SIP trunk")
            .about("LiveKit is told in the background; calls under way go on.")
            .errors(&[Code::NameTaken, Code::SecretsNotConfigured]),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteSipTrunk", "Delete a SIP trunk")
            .about("Refused while a call goes through it. LiveKit forgets it in the background.")
            .errors(&[Code::TrunkInUse]),
    );
}

/// The row, if it makes sense.
fn row(service: &Service, tenant: TenantId, body: CreateSipTrunk) -> Result<sip_trunks::SipTrunk> {
    check_address(service, &body.address)?;
    of_service::require_both(body.username.is_some(), body.password.is_some())?;
    let now = service.clock.now();
    Ok(sip_trunks::SipTrunk {
        tenant_id: tenant,
        id: service.clock.new_id(),
        name: body.name.into_inner(),
        address: body.address.to_string(),
        transport: body.transport,
        numbers: checked_numbers(body.numbers)?,
        username: body.username.map(OneLine::into_inner),
        revision: 1,
        created_at: now,
        updated_at: now,
    })
}

async fn create(
    caller: Caller<SipTrunksWrite>,
    Json(body): Json<CreateSipTrunk>,
    key: IdempotencyKey,
) -> Result<Once<Created<SipTrunk>>> {
    let tenant = caller.tenant()?;
    let password = body.password.clone();
    let row = row(&caller.service, tenant, body)?;
    let created = caller
        .once(&key, async |tx| {
            sip_trunks::insert(tx, &row).await?;
            if let Some(password) = &password {
                keep_owned(&caller.service, tx, row.id.uuid(), password).await?;
            }
            let value = synchronised(&caller.service, tx, row).await?;
            let event = Event::created("sip_trunk", value.id, &value);
            let location = format!("/api/tenants/{tenant}/sip-trunks/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await?;
    caller.service.job_due.notify_one();
    Ok(created)
}

/// The trunk, which is about to be synchronised into LiveKit.
async fn synchronised(
    service: &Service,
    tx: &mut TenantTx,
    row: sip_trunks::SipTrunk,
) -> Result<SipTrunk> {
    let object = request_sync(service, tx, row.id.uuid(), SipObjectKind::Trunk).await?;
    Ok((row, object).into())
}

async fn list(caller: Caller<SipTrunksRead>, list: List<NoFilter>) -> Result<Page<SipTrunk>> {
    let mut tx = caller.read().await?;
    let rows = sip_trunks::list(&mut tx, list.window, None).await?;
    tx.finish();
    Ok(Page::new(rows, |(row, _)| row.id.uuid(), SipTrunk::from))
}

async fn get(
    caller: Caller<SipTrunksRead>,
    Path((_, id)): Path<(TenantId, TrunkId)>,
) -> Result<Entity<SipTrunk>> {
    let mut tx = caller.read().await?;
    let found = sip_trunks::find(&mut tx, id).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.into()))
}

impl PatchSipTrunk {
    /// Changes the row; answers the new password, if there is one.
    fn apply(
        self,
        service: &Service,
        row: &mut sip_trunks::SipTrunk,
    ) -> Result<Option<OneLine<1, 200>>> {
        self.name.apply(&mut row.name, Name::into_inner);
        if let Patch::To(address) = self.address {
            check_address(service, &address)?;
            row.address = address.to_string();
        }
        self.transport
            .apply(&mut row.transport, |transport| transport);
        if let Patch::To(numbers) = self.numbers {
            row.numbers = checked_numbers(numbers)?;
        }
        credentials::apply(self.username, self.password, &mut row.username)
    }
}

async fn patch(
    caller: Caller<SipTrunksWrite>,
    Path((_, id)): Path<(TenantId, TrunkId)>,
    if_match: IfMatch,
    Json(body): Json<PatchSipTrunk>,
) -> Result<Entity<SipTrunk>> {
    let trunk = caller
        .change(async |tx| {
            let found = sip_trunks::lock(tx, id).await?;
            let (mut row, object) = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            let before = SipTrunk::from((row.clone(), object));
            let password = body.apply(&caller.service, &mut row)?;
            row.revision += 1;
            row.updated_at = caller.service.clock.now();
            sip_trunks::update(tx, &row).await?;
            let username = row.username.as_deref();
            of_service::store(&caller.service, tx, id.uuid(), username, password).await?;
            let after = synchronised(&caller.service, tx, row).await?;
            let event = Event::updated("sip_trunk", id, &before, &after);
            Ok(Change::one(after, event))
        })
        .await?;
    caller.service.job_due.notify_one();
    Ok(Entity(trunk))
}

async fn delete(
    caller: Caller<SipTrunksWrite>,
    Path((_, id)): Path<(TenantId, TrunkId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    let deleted = caller
        .change(async |tx| {
            let found = sip_trunks::lock(tx, id).await?;
            let (row, object) = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            if calls::any_live_through(tx, id).await? {
                let detail = "Stop the calls that go through it first.";
                return Err(Error::new(Code::TrunkInUse, detail));
            }
            secrets::delete_owned(tx, id.uuid()).await?;
            sip_trunks::delete(tx, id).await?;
            request_sync(&caller.service, tx, id.uuid(), SipObjectKind::Trunk).await?;
            let event = Event::deleted("sip_trunk", id, &SipTrunk::from((row, object)));
            Ok(Change::one(Deleted, event))
        })
        .await?;
    caller.service.job_due.notify_one();
    Ok(deleted)
}
