//! Secrets: values that tools may send to named hosts, and that nobody reads back.

use chrono::{DateTime, Utc};
use patchbay_domain::{TenantId, text::Text};
use patchbay_persistence::secrets;
use patchbay_service::{
    Code, Error, Result,
    audit::{Change, Event},
    named_secrets::{check_name, checked_hosts, replaced},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::{Created, Deleted, Entity, Page, Put, Resource},
    extract::{
        Caller, IfMatch, Json, List, NoFilter, Path, SecretName,
        scopes::{SecretsRead, SecretsWrite},
    },
    openapi::{Doc, Tag},
    router::Api,
};

/// A secret, without its value.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "CRM_TOKEN",
    "hosts": ["crm.example.org"],
    "revision": 1,
    "created_at": "2026-11-23T20:00:00Z",
    "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct Secret {
    /// Name in templates: `{{ secrets.NAME }}`.
    #[schema(max_length = 64)]
    name: String,
    /// The hosts that the value may be sent to.
    #[schema(max_items = 20, value_type = Vec<Text<1, 253>>)]
    hosts: Vec<String>,
    /// Counts changes.
    #[schema(minimum = 1)]
    revision: i64,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl Resource for Secret {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl From<secrets::Secret> for Secret {
    fn from(row: secrets::Secret) -> Self {
        let secrets::Secret {
            tenant_id: _,
            id: _,
            name,
            hosts,
            sealing_key: _,
            nonce: _,
            sealed: _,
            revision,
            created_at,
            updated_at,
            owner_id: _,
        } = row;
        Self {
            name,
            hosts,
            revision,
            created_at,
            updated_at,
        }
    }
}

/// A secret to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": "tok_4711", "hosts": ["crm.example.org"]}))]
pub struct PutSecret {
    /// The value. It is sealed, and never answered, logged or audited.
    #[schema(write_only)]
    value: Text<1, 8192>,
    /// The hosts that the value may be sent to, such as `crm.example.org`; no wildcards.
    #[schema(min_items = 1, max_items = 20)]
    hosts: Vec<Text<1, 253>>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Secrets);
    let one = "/api/tenants/{tenant_id}/secrets/{name}";
    api.add(
        one,
        put,
        Doc::put("putSecret", "Create or replace a secret")
            .about(
                "Creates the secret or replaces it, value and hosts. Names are letters, \
                 digits and `_`, not beginning with a digit. The value is sealed with a key \
                 of the installation and cannot be read back.",
            )
            .errors(&[Code::SecretsNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/secrets",
        list,
        Doc::get("listSecrets", "List secrets")
            .about("Names and hosts of the tenant's secrets, newest first. Never their values."),
    );
    api.add(
        one,
        get,
        Doc::get("getSecret", "Get a secret")
            .about("Hosts and times of the secret. Never its value."),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteSecret", "Delete a secret")
            .about("Tool calls that need it fail from then on."),
    );
}

async fn put(
    caller: Caller<SecretsWrite>,
    Path((tenant, SecretName(name))): Path<(TenantId, SecretName)>,
    if_match: IfMatch,
    Json(body): Json<PutSecret>,
) -> Result<Put<Secret>> {
    check_name(&name)?;
    let hosts = checked_hosts(body.hosts)?;
    let sealed = caller.service.keyring.seal(tenant, &name, &body.value)?;
    caller
        .change(async |tx| {
            let before = secrets::lock(tx, &name).await?;
            match &before {
                Some(row) => if_match.check(row.revision)?,
                None => if_match.check_absent()?,
            }
            let row = replaced(
                &caller.service.clock,
                before.as_ref(),
                (tenant, name, hosts),
                sealed,
            );
            secrets::save(tx, &row).await?;
            let after = Secret::from(row);
            let name = &after.name;
            let location = format!("/api/tenants/{tenant}/secrets/{name}");
            Ok(match before {
                Some(before) => {
                    let event = Event::updated("secret", name, &Secret::from(before), &after);
                    Change::one(Put::Replaced(after), event)
                }
                None => {
                    let event = Event::created("secret", name, &after);
                    let value = after;
                    Change::one(Put::Created(Created { location, value }), event)
                }
            })
        })
        .await
}

async fn list(caller: Caller<SecretsRead>, list: List<NoFilter>) -> Result<Page<Secret>> {
    let mut tx = caller.read().await?;
    let rows = secrets::list(&mut tx, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Secret::from))
}

async fn get(
    caller: Caller<SecretsRead>,
    Path((_, SecretName(name))): Path<(TenantId, SecretName)>,
) -> Result<Entity<Secret>> {
    let mut tx = caller.read().await?;
    let found = secrets::find(&mut tx, &name).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.into()))
}

async fn delete(
    caller: Caller<SecretsWrite>,
    Path((_, SecretName(name))): Path<(TenantId, SecretName)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let found = secrets::lock(tx, &name).await?;
            let row = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            secrets::delete(tx, row.id).await?;
            let event = Event::deleted("secret", &name, &Secret::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}
