//! API keys of a tenant.

use chrono::{DateTime, Utc};
use patchbay_domain::{ApiKeyId, Scope, TenantId, clock, scope::Preset, text::Name};
use patchbay_persistence::{api_keys, tenants};
use patchbay_service::{
    Code, Error, Result,
    api_keys::{check_expiry, generate, granted, under_parent},
    audit::{Change, Event},
    idempotency::Once,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::{Created, Deleted, Page, Resource},
    extract::{
        Caller, IdempotencyKey, Json, List, NoFilter, Path,
        scopes::{KeysRead, KeysWrite},
    },
    openapi::{Doc, Tag},
    router::Api,
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
    /// Id; the second part of the key itself.
    id: ApiKeyId,
    /// What it is for.
    #[schema(max_length = 200)]
    name: String,
    /// What it may do.
    #[schema(max_items = 100)]
    scopes: Vec<Scope>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// From when on it is refused; null for never.
    expires_at: Option<DateTime<Utc>>,
    /// When it was revoked; null while it is not.
    revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, a few seconds late; null while it was not.
    last_used_at: Option<DateTime<Utc>>,
    /// The key that made it, which it does not outlive; null where the operator made it.
    parent_key_id: Option<ApiKeyId>,
}

impl ApiKey {
    /// Its id.
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
            created_at,
            expires_at,
            revoked_at,
            last_used_at,
            parent_key_id,
        }
    }
}

/// A new key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "key": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12", "name": "dashboard", "scopes": ["agents:read"],
        "created_at": "2026-11-23T20:00:00Z", "expires_at": null, "revoked_at": null, "last_used_at": null, "parent_key_id": null
    },
    "secret": "pb_0199a2f07c117a549d4e3b1f8f0f2f12_…"
}))]
pub struct NewApiKey {
    /// The key.
    key: ApiKey,
    /// The key itself. Shown this once; null in a replayed answer.
    #[schema(max_length = 200)]
    secret: Option<String>,
}

impl Resource for NewApiKey {
    const SECRET: Option<&'static str> = Some("secret");
}

/// A key to be created: a preset, or scopes one by one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "dashboard", "scopes": ["agents:read", "sessions:write"]}))]
pub struct CreateApiKey {
    /// What it is for.
    name: Name,
    /// What it may do. Nobody but the operator grants more than they hold.
    #[serde(default)]
    #[schema(max_items = 100)]
    scopes: Vec<Scope>,
    /// A named set of scopes, added to `scopes`.
    preset: Option<Preset>,
    /// From when on it is refused; by default when the key that makes it is, and never later.
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
                "The answer carries the key itself, this once; only a hash of it is kept. A \
                 key that a key has made is its child: it expires with it at the latest, and \
                 is revoked with it. Keys that are to last are made by the operator, or by a \
                 key that lasts. There are at most 8 generations, and keys make no more where \
                 a tenant has 1,000 that are good.",
            )
            .errors(&[Code::KeyLimitReached]),
    );
    api.add(
        "/api/tenants/{tenant_id}/keys",
        list,
        Doc::get("listApiKeys", "List API keys")
            .about("All keys of the tenant, revoked ones included, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/keys/{key_id}",
        revoke,
        Doc::delete("revokeApiKey", "Revoke an API key").about(
            "The key is refused from the next request on, and so are the keys that it has \
                 made, and those that they have made. They stay in the list, with the time of \
                 their revocation.",
        ),
    );
}

async fn create(
    caller: Caller<KeysWrite>,
    Json(body): Json<CreateApiKey>,
    key: IdempotencyKey,
) -> Result<Once<Created<NewApiKey>>> {
    let wanted = (&*body.scopes, body.preset);
    let scopes = granted(&caller.origin, &caller.scopes, wanted)?;
    check_expiry(body.expires_at, caller.service.clock.now())?;
    let tenant = caller.tenant()?;
    let clock = &caller.service.clock;
    let (row, secret) = generate(clock, tenant, &body.name, scopes, body.expires_at);
    caller
        .once(&key, async |tx| {
            let row = under_parent(tx, row).await?;
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
    let known = tenants::find(&mut tx).await?;
    known.ok_or_else(Error::not_found)?;
    let rows = api_keys::list(&mut tx, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), ApiKey::from))
}

async fn revoke(
    caller: Caller<KeysWrite>,
    Path((_, id)): Path<(TenantId, ApiKeyId)>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            // Nobody makes a child meanwhile.
            tenants::hold(tx).await?;
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
