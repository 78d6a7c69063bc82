//! Routes of API keys.

use chrono::{DateTime, Utc};
use patchbay_domain::{ApiKeyId, Scope, TenantId, clock, scope::Preset, text::Name};
use patchbay_persistence::{api_keys, tenants};
use patchbay_service::{
    Code, Error, Result,
    api_keys::{assign_parent, check_expiry, generate, granted_scopes},
    audit::{Change, Event},
    idempotency::Idempotent,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{
        Caller, IdempotencyKey, Json, List, NoFilter, Path,
        scopes::{KeysRead, KeysWrite},
    },
    openapi::{Doc, Tag},
    response::{Created, Deleted, Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// An API key, without its secret.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12",
    "name": "dashboard",
    "scopes": ["agents:read", "sessions:write"],
    "created_at": "2026-11-23T20:00:00Z",
    "expires_at": null,
    "revoked_at": null,
    "last_used_at": null,
    "parent_key_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f11"
}))]
pub struct ApiKey {
    /// Id of the key, which is also the second part of its secret.
    id: ApiKeyId,
    /// Name of the key.
    #[schema(max_length = 200)]
    name: String,
    /// Scopes of the key.
    #[schema(max_items = 100)]
    scopes: Vec<Scope>,
    /// Time at which the key was created.
    created_at: Timestamp,
    /// Expiry time; null if the key does not expire.
    expires_at: Option<Timestamp>,
    /// Time at which the key was revoked; null if it is not revoked.
    revoked_at: Option<Timestamp>,
    /// Time at which the key was last used, updated with a delay of a few seconds; null if it was never used.
    last_used_at: Option<Timestamp>,
    /// Id of the key that created this key; null if the operator created it. A key expires no later than its parent
    /// and is revoked with it.
    parent_key_id: Option<ApiKeyId>,
}

impl Resource for ApiKey {}

impl ApiKey {
    /// Returns the id of the key.
    pub(super) const fn id(&self) -> ApiKeyId {
        self.id
    }
}

impl From<api_keys::ApiKey> for ApiKey {
    fn from(row: api_keys::ApiKey) -> Self {
        let api_keys::ApiKey {
            tenant_id: _,
            id,
            name,
            scopes,
            created_at,
            expires_at,
            revoked_at,
            last_used_at,
            parent_key_id,
        } = row;
        Self {
            id,
            name,
            scopes: scopes
                .iter()
                .filter_map(|scope| scope.parse().ok())
                .collect(),
            created_at: created_at.into(),
            expires_at: Timestamp::optional(expires_at),
            revoked_at: Timestamp::optional(revoked_at),
            last_used_at: Timestamp::optional(last_used_at),
            parent_key_id,
        }
    }
}

/// A new API key with its secret.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "key": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12", "name": "dashboard", "scopes": ["agents:read"],
        "created_at": "2026-11-23T20:00:00Z", "expires_at": null, "revoked_at": null, "last_used_at": null, "parent_key_id": null
    },
    "secret": "pb_0199a2f07c117a549d4e3b1f8f0f2f12_…"
}))]
pub struct NewApiKey {
    /// API key.
    key: ApiKey,
    /// Secret of the key, to be sent as bearer token. Returned only once; null in a replayed response.
    #[schema(max_length = 200)]
    secret: Option<String>,
}

impl Resource for NewApiKey {
    const SECRET: Option<&'static str> = Some("secret");
}

/// Request to create an API key with a preset, individual scopes, or both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "dashboard", "scopes": ["agents:read", "sessions:write"]}))]
pub struct CreateApiKey {
    /// Name of the key, such as its purpose.
    name: Name,
    /// Scopes of the key. An API key can only grant scopes that it has itself.
    #[serde(default)]
    #[schema(max_items = 100)]
    scopes: Vec<Scope>,
    /// Named set of scopes, added to `scopes`.
    preset: Option<Preset>,
    /// Expiry time; by default that of the creating key, which is also the latest allowed.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    expires_at: Option<DateTime<Utc>>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::ApiKeys);
    api.add(
        "/api/tenants/{tenant_id}/keys",
        create,
        Doc::post("createApiKey", "Create an API key")
            .about(
                "Creates an API key and returns its secret, which is only shown once; only a hash \
                 of it is stored. A key that is created with another key is its child: it expires \
                 no later than its parent and is revoked with it. Create long-lived keys as the \
                 operator, or with a key that does not expire. Keys can be nested up to 8 \
                 generations. API keys cannot create further keys once the tenant has 1,000 valid \
                 keys.",
            )
            .errors(&[Code::KeyLimitReached]),
    );
    api.add(
        "/api/tenants/{tenant_id}/keys",
        list,
        Doc::get("listApiKeys", "List API keys")
            .about("Returns the API keys of the tenant, including revoked ones, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/keys/{key_id}",
        get,
        Doc::get("getApiKey", "Get an API key")
            .about("Returns the API key, also if it is revoked; never its secret."),
    );
    api.add(
        "/api/tenants/{tenant_id}/keys/{key_id}",
        revoke,
        Doc::delete("revokeApiKey", "Revoke an API key").about(
            "Revokes the key and all keys created with it, directly or indirectly. They are \
             rejected from the next request on. Revoked keys stay in the list with the time of \
             revocation.",
        ),
    );
}

async fn create(
    caller: Caller<KeysWrite>,
    Json(body): Json<CreateApiKey>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<NewApiKey>>> {
    let requested = (&*body.scopes, body.preset);
    let scopes = granted_scopes(&caller.origin, &caller.scopes, requested)?;
    check_expiry(body.expires_at, caller.service.clock.now())?;
    let tenant = caller.tenant()?;
    let clock = &caller.service.clock;
    let (row, secret) = generate(clock, tenant, &body.name, scopes, body.expires_at);
    caller
        .once(&key, async |tx| {
            let row = assign_parent(tx, row).await?;
            api_keys::insert(tx, &row, &secret.hash).await?;
            let key = ApiKey::from(row);
            let event = Event::created("api_key", key.id, &key);
            let location = format!("/api/tenants/{tenant}/keys/{}", key.id);
            let secret = Some(secret.token);
            let value = NewApiKey { key, secret };
            Ok(Change::one(Created { location, value }, event))
        })
        .await
}

async fn list(caller: Caller<KeysRead>, list: List<NoFilter>) -> Result<Page<ApiKey>> {
    let mut tx = caller.read().await?;
    let found = tenants::find(&mut tx).await?;
    found.ok_or_else(Error::not_found)?;
    let rows = api_keys::list(&mut tx, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), ApiKey::from))
}

async fn get(
    caller: Caller<KeysRead>,
    Path((_, id)): Path<(TenantId, ApiKeyId)>,
) -> Result<Entity<ApiKey>> {
    let mut tx = caller.read().await?;
    let found = api_keys::find(&mut tx, id).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.into()))
}

async fn revoke(
    caller: Caller<KeysWrite>,
    Path((_, id)): Path<(TenantId, ApiKeyId)>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            // The lock keeps concurrent requests from creating child keys during the revocation.
            tenants::lock_counts(tx).await?;
            let found = api_keys::lock(tx, id).await?;
            found.ok_or_else(Error::not_found)?;
            let revoked = api_keys::revoke(tx, id, caller.service.clock.now()).await?;
            let event = |row: api_keys::ApiKey| {
                let id = row.id;
                Event::deleted("api_key", id, &ApiKey::from(row))
            };
            let events = revoked.into_iter().map(event).collect();
            Ok(Change {
                value: Deleted,
                events,
            })
        })
        .await
}
