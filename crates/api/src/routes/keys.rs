//! API keys of a tenant.

use actix_web::http::Method;
use chrono::{DateTime, Utc};
use patchbay_domain::{
    ApiKeyId, Clock, Invalid, Scope, TenantId, api_key, clock, scope::Preset, text::Name,
};
use patchbay_persistence::{api_keys, tenants};
use rand::TryRngCore as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::{Created, Deleted, Page, Resource},
    audit::{Change, Event},
    error::{ApiError, Code, Result},
    extract::{
        Caller, IdempotencyKey, Json, List, NoFilter, Path,
        scopes::{KeysRead, KeysWrite},
    },
    once::Once,
    openapi::{Api, Doc},
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
    "last_used_at": null
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
        }
    }
}

/// A new key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "key": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12", "name": "dashboard", "scopes": ["agents:read"],
        "created_at": "2026-11-23T20:00:00Z", "expires_at": null, "revoked_at": null, "last_used_at": null
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
    /// From when on it is refused.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    expires_at: Option<DateTime<Utc>>,
}

/// A key with the hash that is kept of it.
pub(super) struct Generated {
    /// The key itself.
    pub token: String,
    /// What is stored.
    pub hash: [u8; 32],
}

/// A new random key.
pub(super) fn generate(
    clock: &Clock,
    tenant: TenantId,
    name: &str,
    scopes: Vec<Scope>,
    expires_at: Option<DateTime<Utc>>,
) -> (api_keys::ApiKey, Generated) {
    let mut secret = [0; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut secret)
        .expect("the operating system has no randomness");
    let id = clock.new_id();
    let token = api_key::format(id, &secret);
    let row = api_keys::ApiKey {
        tenant_id: tenant,
        id,
        name: name.to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        created_at: clock.now(),
        expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    let hash = api_key::hash(&token);
    (row, Generated { token, hash })
}

pub(super) fn routes(api: &mut Api) {
    let tag = "API keys";
    api.route(
        Method::POST,
        "/api/tenants/{tenant_id}/keys",
        create,
        Doc {
            id: "createApiKey",
            tag,
            summary: "Create a key",
            description: "The answer carries the key itself, this once; only a hash of it is kept.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        "/api/tenants/{tenant_id}/keys",
        list,
        Doc {
            id: "listApiKeys",
            tag,
            summary: "List keys",
            description: "All keys of the tenant, revoked ones included, newest first.",
            errors: &[],
        },
    );
    api.route(Method::DELETE, "/api/tenants/{tenant_id}/keys/{key_id}", revoke, Doc {
        id: "revokeApiKey",
        tag,
        summary: "Revoke a key",
        description: "The key is refused from the next request on. It stays in the list, with the time of its revocation.",
        errors: &[],
    });
}

async fn create(
    caller: Caller<KeysWrite>,
    Json(body): Json<CreateApiKey>,
    key: IdempotencyKey,
) -> Result<Once<Created<NewApiKey>>> {
    let scopes = granted(&caller, &body)?;
    let tenant = caller.tenant()?;
    let clock = &caller.app.clock;
    let (row, secret) = generate(clock, tenant, &body.name, scopes, body.expires_at);
    caller
        .once(&key, async |tx| {
            let known = tenants::find(tx, false).await?;
            known.ok_or_else(ApiError::not_found)?;
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

/// The scopes of the new key, none of which the caller may lack.
fn granted(caller: &Caller<KeysWrite>, body: &CreateApiKey) -> Result<Vec<Scope>> {
    let preset = body.preset.map(Preset::scopes).unwrap_or_default();
    let mut scopes: Vec<_> = body.scopes.iter().copied().chain(preset).collect();
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        let invalid = Invalid::new("missing_field", "give `scopes` or a `preset`");
        return Err(ApiError::invalid_at("/scopes", invalid));
    }
    if scopes.contains(&Scope::Operator) {
        let invalid = Invalid::new("unknown_scope", "`operator` is not a tenant's scope");
        return Err(ApiError::invalid_at("/scopes", invalid));
    }
    if body
        .expires_at
        .is_some_and(|at| at <= caller.app.clock.now())
    {
        let invalid = Invalid::new("in_the_past", "the key would be expired at once");
        return Err(ApiError::invalid_at("/expires_at", invalid));
    }
    let lacking = scopes.iter().find(|scope| !caller.scopes.contains(scope));
    match lacking {
        Some(scope) if !caller.is_operator() => {
            let detail = format!("You do not hold `{scope}` and so cannot grant it.");
            Err(ApiError::new(Code::MissingScope, detail))
        }
        _ => Ok(scopes),
    }
}

async fn list(caller: Caller<KeysRead>, list: List<NoFilter>) -> Result<Page<ApiKey>> {
    let mut tx = caller.read().await?;
    let known = tenants::find(&mut tx, false).await?;
    known.ok_or_else(ApiError::not_found)?;
    let rows = api_keys::list(&mut tx, list.window).await?;
    tx.finish();
    Ok(Page::new(&list, rows, |row| row.id.uuid(), ApiKey::from))
}

async fn revoke(
    caller: Caller<KeysWrite>,
    Path((_, id)): Path<(TenantId, ApiKeyId)>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let found = api_keys::find(tx, id, true).await?;
            let row = found.ok_or_else(ApiError::not_found)?;
            if row.revoked_at.is_some() {
                return Ok(Change::none(Deleted));
            }
            api_keys::revoke(tx, id, caller.app.clock.now()).await?;
            let event = Event::deleted("api_key", id, &ApiKey::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}
