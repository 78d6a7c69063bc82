//! Routes of tenants.

use patchbay_domain::{
    Metadata, TenantId,
    limits::TenantLimits,
    states::TenantStatus,
    text::{Name, Slug, Text},
};
use patchbay_persistence::tenants;
use patchbay_service::{
    Code, Error, Result,
    audit::{Change, Event},
    idempotency::Idempotent,
    stored,
    tenants::{check_settings, insert_with_admin_key, normalise_prefixes},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::keys::ApiKey;
use crate::{
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, Patch,
        scopes::{Operator, TenantRead, TenantWrite},
    },
    openapi::{Doc, Tag},
    response::{Created, Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// A tenant.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
    "slug": "acme",
    "name": "Acme Inc.",
    "status": "active",
    "settings": {},
    "limits": {
            "reads_per_minute": null, "writes_per_minute": null, "starts_per_minute": null, "concurrent_sessions": null, "concurrent_calls": 20, "calls_per_minute": null,
            "max_call_seconds": null, "file_megabytes": 5000, "allowed_prefixes": ["+49"], "denied_prefixes": null,
            "emergency_calls": null
        },
    "revision": 1,
    "created_at": "2026-11-23T20:00:00Z",
    "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct Tenant {
    /// Id of the tenant.
    id: TenantId,
    /// Short name, unique within the installation. It cannot be changed.
    slug: Slug,
    /// Display name.
    name: Name,
    /// Status of the tenant.
    status: TenantStatus,
    /// Settings of the tenant, a JSON object. `search_language` sets the language of keyword searches. `retention_days` is
    /// an object with any of `transcripts`, `timelines`, `calls` and `audit`: the days after which such records are erased, unless
    /// the operator keeps them for fewer. Other entries are custom.
    settings: Metadata,
    /// Limits set by the operator.
    limits: TenantLimits,
    /// Revision number, incremented with every change.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the tenant was created.
    created_at: Timestamp,
    /// Time at which the tenant was last changed.
    updated_at: Timestamp,
}

impl Resource for Tenant {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl TryFrom<tenants::Tenant> for Tenant {
    type Error = Error;
    fn try_from(row: tenants::Tenant) -> Result<Self> {
        let tenants::Tenant {
            id,
            slug,
            name,
            status,
            settings,
            limits,
            revision,
            created_at,
            updated_at,
        } = row;
        Ok(Self {
            id,
            slug: Slug::new(slug)?,
            name: Name::new(name)?,
            status,
            settings: settings.try_into()?,
            limits: stored::limits(id, limits)?,
            revision,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        })
    }
}

/// Request to create a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slug": "acme", "name": "Acme Inc."}))]
pub struct CreateTenant {
    /// Short name, unique within the installation. It cannot be changed.
    slug: Slug,
    /// Display name.
    name: Name,
    /// Settings of the tenant, a JSON object. `search_language` sets the language of keyword searches. `retention_days` is
    /// an object with any of `transcripts`, `timelines`, `calls` and `audit`: the days after which such records are erased, unless
    /// the operator keeps them for fewer. Other entries are custom.
    #[serde(default)]
    settings: Metadata,
    /// Limits set by the operator.
    #[serde(default)]
    limits: PatchLimits,
}

/// A new tenant with its first API key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "tenant": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10", "slug": "acme", "name": "Acme Inc.",
        "status": "active", "settings": {}, "limits": {
            "reads_per_minute": null, "writes_per_minute": null, "starts_per_minute": null, "concurrent_sessions": null, "concurrent_calls": 20, "calls_per_minute": null,
            "max_call_seconds": null, "file_megabytes": 5000, "allowed_prefixes": ["+49"], "denied_prefixes": null,
            "emergency_calls": null
        }, "revision": 1,
        "created_at": "2026-11-23T20:00:00Z", "updated_at": "2026-11-23T20:00:00Z"
    },
    "key": {
        "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12",
        "name": "first admin key",
        "scopes": ["tenant:read"],
        "created_at": "2026-11-23T20:00:00Z",
        "expires_at": null, "revoked_at": null, "last_used_at": null, "parent_key_id": null
    },
    "secret": "pb_0199a2f07c117a549d4e3b1f8f0f2f12_…"
}))]
pub struct NewTenant {
    /// Tenant.
    tenant: Tenant,
    /// First API key of the tenant, with the scopes of the preset `admin`.
    key: ApiKey,
    /// Secret of the key, to be sent as bearer token. Returned only once; null in a replayed response.
    #[schema(max_length = 200)]
    secret: Option<String>,
}

impl Resource for NewTenant {
    const SECRET: Option<&'static str> = Some("secret");
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.tenant.revision)
    }
}

/// Request to update a tenant. Only the operator may change `status` and `limits`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Acme Ltd."}))]
pub struct PatchTenant {
    /// Display name.
    #[serde(default)]
    name: Patch<Name>,
    /// Status of the tenant. Operator only.
    #[serde(default)]
    status: Patch<TenantStatus>,
    /// Settings to merge into the stored settings; null clears them.
    #[serde(default)]
    settings: Patch<Option<Metadata>>,
    /// Limits to change; null resets all to the values of the installation. Operator only.
    #[serde(default)]
    limits: Patch<Option<PatchLimits>>,
}

/// Limits to set. Null resets a limit to the installation's value; absent limits are unchanged.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reads_per_minute": 12000}))]
pub struct PatchLimits {
    /// Read requests per minute, of all API keys of the tenant together.
    #[serde(default)]
    #[schema(minimum = 1)]
    reads_per_minute: Patch<Option<u32>>,
    /// Write requests per minute, of all API keys of the tenant together.
    #[serde(default)]
    #[schema(minimum = 1)]
    writes_per_minute: Patch<Option<u32>>,
    /// Starts and tool calls per minute, of all API keys of the tenant together.
    #[serde(default)]
    #[schema(minimum = 1)]
    starts_per_minute: Patch<Option<u32>>,
    /// Concurrent sessions, including those of phone calls.
    #[serde(default)]
    #[schema(minimum = 1)]
    concurrent_sessions: Patch<Option<u32>>,
    /// Concurrent phone calls, in both directions.
    #[serde(default)]
    #[schema(minimum = 1)]
    concurrent_calls: Patch<Option<u32>>,
    /// New phone calls per minute.
    #[serde(default)]
    #[schema(minimum = 1)]
    calls_per_minute: Patch<Option<u32>>,
    /// Maximum duration of a phone call in seconds, counted from the answer.
    #[serde(default)]
    #[schema(minimum = 1)]
    max_call_seconds: Patch<Option<u32>>,
    /// Total size of all files, in megabytes of 1,000,000 bytes.
    #[serde(default)]
    #[schema(minimum = 1)]
    file_megabytes: Patch<Option<u32>>,
    /// Allowed prefixes of called numbers, such as `+49`. Prefixes are normalised like phone numbers, so `0049` and
    /// `+49 (0)900` are accepted.
    #[serde(default)]
    #[schema(max_items = 200, value_type = Option<Vec<Text<2, 40>>>)]
    allowed_prefixes: Patch<Option<Vec<String>>>,
    /// Denied prefixes of called numbers. They take precedence over `allowed_prefixes`.
    #[serde(default)]
    #[schema(max_items = 200, value_type = Option<Vec<Text<2, 40>>>)]
    denied_prefixes: Patch<Option<Vec<String>>>,
    /// Whether emergency numbers, such as 112 and 911, may be called; false by default.
    #[serde(default)]
    emergency_calls: Patch<Option<bool>>,
}

impl PatchLimits {
    fn apply(self, mut limits: TenantLimits) -> Result<Value> {
        for (patch, target) in [
            (self.reads_per_minute, &mut limits.reads_per_minute),
            (self.writes_per_minute, &mut limits.writes_per_minute),
            (self.starts_per_minute, &mut limits.starts_per_minute),
            (self.concurrent_sessions, &mut limits.concurrent_sessions),
            (self.concurrent_calls, &mut limits.concurrent_calls),
            (self.calls_per_minute, &mut limits.calls_per_minute),
            (self.max_call_seconds, &mut limits.max_call_seconds),
            (self.file_megabytes, &mut limits.file_megabytes),
        ] {
            patch.apply(target, |limit| limit);
        }
        for (patch, target) in [
            (self.allowed_prefixes, &mut limits.allowed_prefixes),
            (self.denied_prefixes, &mut limits.denied_prefixes),
        ] {
            patch.apply(target, |prefixes| prefixes.map(normalise_prefixes));
        }
        self.emergency_calls
            .apply(&mut limits.emergency_calls, |allowed| allowed);
        let checked = limits.check();
        checked
            .map_err(|(name, invalid)| Error::invalid_at(&format!("/limits/{name}"), invalid))?;
        serde_json::to_value(limits).map_err(Error::internal)
    }
}

impl PatchTenant {
    fn apply(self, row: &mut tenants::Tenant) -> Result<()> {
        self.name.apply(&mut row.name, Name::into_inner);
        self.status.apply(&mut row.status, |status| status);
        if let Patch::To(patch) = self.settings {
            let current = Metadata::try_from(std::mem::take(&mut row.settings))?;
            row.settings = check_settings(current.merged(patch)?)?;
        }
        if let Patch::To(patch) = self.limits {
            row.limits = match patch {
                Some(patch) => patch.apply(stored::limits(row.id, row.limits.take())?)?,
                None => json!({}),
            };
        }
        Ok(())
    }
}

/// Filters for listing tenants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantFilter {
    /// Only tenants with this status.
    status: Option<TenantStatus>,
    /// Only the tenant with this slug.
    #[schema(max_length = 63)]
    slug: Option<String>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Tenants);
    api.add(
        "/api/tenants",
        create,
        Doc::post("createTenant", "Create a tenant")
            .about(
                "Operator only. Creates a tenant and its first admin API key. The secret of the \
                 key is only returned in this response.",
            )
            .errors(&[Code::SlugTaken]),
    );
    api.add(
        "/api/tenants",
        list,
        Doc::get("listTenants", "List tenants")
            .about("Operator only. Returns all tenants of the installation, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}",
        get,
        Doc::get("getTenant", "Get a tenant")
            .about("Returns the tenant with its status, settings and limits."),
    );
    api.add(
        "/api/tenants/{tenant_id}",
        patch,
        Doc::patch("updateTenant", "Update a tenant")
            .about(
                "Changes the given fields. Tenants can change their name and settings; only the \
                 operator can change status and limits. The keys of a suspended tenant are \
                 rejected from the next request on, while its running sessions continue to their \
                 end.",
            )
            .errors(&[Code::OperatorOnly]),
    );
}

async fn create(
    caller: Caller<Operator>,
    Json(body): Json<CreateTenant>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<NewTenant>>> {
    let clock = &caller.service.clock;
    let now = clock.now();
    let row = tenants::Tenant {
        id: clock.new_id(),
        slug: body.slug.to_string(),
        name: body.name.into_inner(),
        status: TenantStatus::Active,
        settings: check_settings(body.settings)?,
        limits: body.limits.apply(TenantLimits::default())?,
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    caller
        .once_in(row.id, &key, async |tx| {
            let (key, secret) = insert_with_admin_key(clock, tx, &row).await?;
            let (tenant, key) = (Tenant::try_from(row)?, ApiKey::from(key));
            let events = vec![
                Event::created("tenant", tenant.id, &tenant),
                Event::created("api_key", key.id(), &key),
            ];
            let location = format!("/api/tenants/{}", tenant.id);
            let value = NewTenant {
                tenant,
                key,
                secret: Some(secret.token),
            };
            Ok(Change {
                value: Created { location, value },
                events,
            })
        })
        .await
}

async fn list(caller: Caller<Operator>, list: List<TenantFilter>) -> Result<Page<Tenant>> {
    let mut connection = caller.service.db.connection().await?;
    let status = list.filter.status;
    let slug = list.filter.slug.as_deref();
    let rows = tenants::list(&mut connection, list.window, status, slug).await?;
    Page::try_new(rows, |row| row.id.uuid(), Tenant::try_from)
}

async fn get(caller: Caller<TenantRead>) -> Result<Entity<Tenant>> {
    let mut tx = caller.read().await?;
    let found = tenants::find(&mut tx).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.try_into()?))
}

async fn patch(
    caller: Caller<TenantWrite>,
    if_match: IfMatch,
    Json(body): Json<PatchTenant>,
) -> Result<Entity<Tenant>> {
    let restricted = matches!(body.status, Patch::To(_)) || matches!(body.limits, Patch::To(_));
    if restricted && !caller.is_operator() {
        let detail = "Only the operator can change `status` and `limits`.";
        return Err(Error::new(Code::OperatorOnly, detail));
    }
    let tenant = caller
        .change(async |tx| {
            let found = tenants::lock(tx).await?;
            let mut row = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            let before = snapshot_before(&row, &body)?;
            body.apply(&mut row)?;
            row.revision += 1;
            row.updated_at = caller.service.clock.now();
            tenants::update(tx, &row).await?;
            let after = Tenant::try_from(row)?;
            let event = Event::new("updated", "tenant", after.id, Some(&before), Some(&after));
            Ok(Change::one(after, event))
        })
        .await?;
    Ok(Entity(tenant))
}

/// Returns the tenant before the change, for the audit event. Unreadable limits are an error, unless the change
/// clears them.
fn snapshot_before(row: &tenants::Tenant, change: &PatchTenant) -> Result<Value> {
    let clears = matches!(change.limits, Patch::To(None));
    let is_readable = TenantLimits::from_stored(row.limits.clone()).is_ok();
    let mut readable = row.clone();
    if clears && !is_readable {
        readable.limits = json!({});
    }
    let mut before = serde_json::to_value(Tenant::try_from(readable)?).map_err(Error::internal)?;
    if clears && !is_readable {
        before["limits"] = row.limits.clone();
    }
    Ok(before)
}
