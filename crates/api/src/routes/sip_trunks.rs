//! Routes of SIP trunks, a tenant's accounts with carriers.

use patchbay_domain::{
    AgentId, CallId, PhoneNumber, SessionId, TenantId, TrunkId,
    call::CallState,
    sip::{SipAddress, Transport},
    states::{SipObjectKind, SyncState},
    text::{Name, OneLine},
};
use patchbay_persistence::{TenantTx, calls, secrets, sip_objects, sip_trunks};
use patchbay_service::{
    Blocker, Code, Error, Result, Service,
    audit::{Change, Event},
    idempotency::Idempotent,
    secrets::store_owned,
    telephony::trunks::{check_address, checked_numbers},
    telephony::{credentials as service_credentials, sip_object::request_sync},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, NoFilter, Patch, Path,
        scopes::{SipTrunksRead, SipTrunksWrite},
    },
    failure::Failure,
    openapi::{Doc, Tag},
    response::{Created, Deleted, Entity, Page, Resource},
    router::Api,
    routes::credentials,
    timestamp::Timestamp,
};

/// Sync status of a SIP object with LiveKit.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"state": "synced", "error": null, "attempts": 1, "synced_at": "2026-11-23T20:00:01Z"}))]
pub struct Sync {
    /// State of the sync.
    state: SyncState,
    /// Error of the last failed attempt; null if there is none.
    error: Option<Failure>,
    /// Number of sync attempts since the last change.
    #[schema(minimum = 0)]
    attempts: i32,
    /// Time at which LiveKit was last in sync; null if it never was.
    synced_at: Option<Timestamp>,
}

impl From<sip_objects::SipObject> for Sync {
    fn from(row: sip_objects::SipObject) -> Self {
        Self {
            state: row.sync_state,
            error: row.error.map(|why| Failure::new(Failure::FAILED, why)),
            attempts: row.attempts,
            synced_at: Timestamp::optional(row.synced_at),
        }
    }
}

/// A SIP trunk for outbound calls.
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
    /// Id of the trunk.
    id: TrunkId,
    /// Display name, unique within the tenant.
    #[schema(max_length = 200)]
    name: String,
    /// Host name or IP address of the carrier, with an optional port.
    #[schema(max_length = 255)]
    address: String,
    /// SIP transport to the carrier.
    #[schema(value_type = Transport)]
    transport: String,
    /// Phone numbers that calls can use as caller ID; the first one is the default.
    #[schema(min_items = 1, max_items = 500, value_type = Vec<PhoneNumber>)]
    numbers: Vec<String>,
    /// SIP user name for the carrier; null if the carrier authenticates by address.
    #[schema(max_length = 200)]
    username: Option<String>,
    /// Sync status of the trunk with LiveKit.
    sync: Sync,
    /// Revision number, incremented with every change.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the trunk was created.
    created_at: Timestamp,
    /// Time at which the trunk was last changed.
    updated_at: Timestamp,
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
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A call that uses a trunk.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "call_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fb0", "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60",
    "state": "answered", "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "agent_name": "reception"
}))]
pub struct TrunkUsage {
    /// Id of the call.
    call_id: CallId,
    /// Id of its session.
    session_id: SessionId,
    /// State of the call.
    state: CallState,
    /// Id of the agent.
    agent_id: AgentId,
    /// Name of the agent; null if it has been deleted.
    #[schema(max_length = 200)]
    agent_name: Option<String>,
}

impl From<calls::TrunkUse> for TrunkUsage {
    fn from(row: calls::TrunkUse) -> Self {
        let calls::TrunkUse {
            call_id,
            session_id,
            state,
            agent_id,
            agent_name,
        } = row;
        Self {
            call_id,
            session_id,
            state,
            agent_id,
            agent_name,
        }
    }
}

/// Request to create a SIP trunk.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "second carrier", "address": "sip.example.org:5061", "transport": "tls", "numbers": ["+49 30 123456"],
    "username": "acme", "password": "s3cret"
}))]
pub struct CreateSipTrunk {
    /// Display name, unique within the tenant.
    name: Name,
    /// Host name or IP address of the carrier, with an optional port. It must be a public address or within a network
    /// that the operator allows.
    address: SipAddress,
    /// SIP transport to the carrier.
    #[serde(default)]
    transport: Transport,
    /// Phone numbers that calls can use as caller ID; the first one is the default.
    #[schema(min_items = 1, max_items = 500)]
    numbers: Vec<PhoneNumber>,
    /// SIP user name for the carrier. Requires `password`.
    username: Option<OneLine<1, 200>>,
    /// SIP password for the carrier. It is stored encrypted and never returned, logged or written to the audit trail.
    #[schema(write_only)]
    password: Option<OneLine<1, 200>>,
}

/// Request to update a SIP trunk.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"numbers": ["+4930123456", "+4930123457"]}))]
pub struct PatchSipTrunk {
    /// Display name, unique within the tenant.
    #[serde(default)]
    name: Patch<Name>,
    /// Host name or IP address of the carrier, with an optional port.
    #[serde(default)]
    address: Patch<SipAddress>,
    /// SIP transport to the carrier.
    #[serde(default)]
    transport: Patch<Transport>,
    /// Phone numbers that calls can use as caller ID; the first one is the default.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 500, value_type = Vec<PhoneNumber>)]
    numbers: Patch<Vec<PhoneNumber>>,
    /// SIP user name for the carrier; null removes it and the password.
    #[serde(default)]
    username: Patch<Option<OneLine<1, 200>>>,
    /// SIP password for the carrier.
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
                "Creates an account with a carrier, through which outbound calls are made. The \
                 trunk is synced to LiveKit in the background; `sync` shows the status.",
            )
            .errors(&[Code::NameTaken, Code::SecretsNotConfigured]),
    );
    api.add(
        all,
        list,
        Doc::get("listSipTrunks", "List SIP trunks")
            .about("Returns the trunks of the tenant, newest first. Passwords are never returned."),
    );
    api.add(
        one,
        get,
        Doc::get("getSipTrunk", "Get a SIP trunk")
            .about("Returns the trunk with its sync status. The password is never returned."),
    );
    api.add(
        "/api/tenants/{tenant_id}/sip-trunks/{trunk_id}/usage",
        list_usage,
        Doc::get("listSipTrunkUsage", "List the usage of a SIP trunk").about(
            "Returns the calls through the trunk that have not ended, newest first. The trunk cannot be deleted \
             before they have. For those that have ended, see `listCalls` with `trunk_id`.",
        ),
    );
    api.add(
        one,
        patch,
        Doc::patch("updateSipTrunk", "Update a SIP trunk")
            .about(
                "Changes the given fields. The trunk is synced to LiveKit in the background; \
                 active calls are not affected.",
            )
            .errors(&[Code::NameTaken, Code::SecretsNotConfigured]),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteSipTrunk", "Delete a SIP trunk")
            .about(
                "Deletes the trunk. Fails while a call uses it. The trunk is removed from LiveKit \
                 in the background.",
            )
            .errors(&[Code::TrunkInUse]),
    );
}

/// Validates the request and builds the row of a new trunk.
fn new_row(
    service: &Service,
    tenant: TenantId,
    body: CreateSipTrunk,
) -> Result<sip_trunks::SipTrunk> {
    check_address(service, &body.address)?;
    service_credentials::require_both(body.username.is_some(), body.password.is_some())?;
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
) -> Result<Idempotent<Created<SipTrunk>>> {
    let tenant = caller.tenant()?;
    let password = body.password.clone();
    let row = new_row(&caller.service, tenant, body)?;
    let created = caller
        .once(&key, async |tx| {
            sip_trunks::insert(tx, &row).await?;
            if let Some(password) = &password {
                store_owned(&caller.service, tx, row.id.uuid(), password).await?;
            }
            let value = request_trunk_sync(&caller.service, tx, row).await?;
            let event = Event::created("sip_trunk", value.id, &value);
            let location = format!("/api/tenants/{tenant}/sip-trunks/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await?;
    caller.service.job_due.notify_one();
    Ok(created)
}

/// Requests a sync of the trunk to LiveKit and returns the trunk with its sync status.
async fn request_trunk_sync(
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

async fn list_usage(
    caller: Caller<SipTrunksRead>,
    Path((_, id)): Path<(TenantId, TrunkId)>,
    list: List<NoFilter>,
) -> Result<Page<TrunkUsage>> {
    let mut tx = caller.read().await?;
    let trunk = sip_trunks::find(&mut tx, id).await?;
    trunk.ok_or_else(Error::not_found)?;
    let rows = calls::trunk_uses(&mut tx, id, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.call_id.uuid(), TrunkUsage::from))
}

impl PatchSipTrunk {
    /// Applies the change to the row and returns the new password, if one is given.
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
            service_credentials::store(&caller.service, tx, id.uuid(), username, password).await?;
            let after = request_trunk_sync(&caller.service, tx, row).await?;
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
            let calls = calls::live_through(tx, id).await?.into_iter();
            let calls = calls.map(|call| Blocker::unnamed("call", call.uuid()));
            let detail = "Calls are using the trunk. Stop them first.";
            Error::require_unblocked(Code::TrunkInUse, detail, calls)?;
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
