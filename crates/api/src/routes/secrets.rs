//! Routes of secrets, which tools may send to named hosts and which cannot be read back.

use patchbay_domain::{ArtifactId, TenantId, VersionId, text::Text};
use patchbay_persistence::{artifacts, secrets};
use patchbay_service::{
    Code, Error, Result,
    audit::{Change, Event},
    named_secrets::{build_secret_row, check_name, validate_hosts},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{
        Caller, IfMatch, Json, List, NoFilter, Path, SecretName,
        scopes::{SecretsRead, SecretsWrite},
    },
    openapi::{Doc, Tag},
    response::{Created, Deleted, Entity, Page, Put, Resource},
    router::Api,
    timestamp::Timestamp,
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
    /// Name of the secret, used in templates as `{{ secrets.NAME }}`.
    #[schema(max_length = 64)]
    name: String,
    /// Hosts to which the value may be sent.
    #[schema(max_items = 20, value_type = Vec<Text<1, 253>>)]
    hosts: Vec<String>,
    /// Revision number, incremented with every change.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the secret was created.
    created_at: Timestamp,
    /// Time at which the secret was last changed.
    updated_at: Timestamp,
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
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A version of a tool whose templates contain a secret.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "tool_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f30", "tool_name": "find_order",
    "version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f31", "version_number": 2
}))]
pub struct SecretUsage {
    /// Id of the tool.
    tool_id: ArtifactId,
    /// Name of the tool.
    #[schema(max_length = 200)]
    tool_name: String,
    /// Id of the version.
    version_id: VersionId,
    /// Number of the version.
    #[schema(minimum = 1)]
    version_number: i32,
}

impl From<artifacts::SecretUse> for SecretUsage {
    fn from(row: artifacts::SecretUse) -> Self {
        let artifacts::SecretUse {
            tool_id,
            tool_name,
            version_id,
            version_number,
        } = row;
        Self {
            tool_id,
            tool_name,
            version_id,
            version_number,
        }
    }
}

/// Request to create or replace a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": "tok_4711", "hosts": ["crm.example.org"]}))]
pub struct PutSecret {
    /// Value of the secret. It is stored encrypted and never returned, logged or written to the audit trail.
    #[schema(write_only)]
    value: Text<1, 8192>,
    /// Hosts to which the value may be sent, such as `crm.example.org`. Wildcards are not supported.
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
                "Creates the secret, or replaces its value and hosts. Names consist of letters, \
                 digits and `_`, and do not begin with a digit. The value is encrypted with a key \
                 of the installation and cannot be read back.",
            )
            .errors(&[Code::SecretsNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/secrets",
        list,
        Doc::get("listSecrets", "List secrets").about(
            "Returns the names and hosts of the secrets of the tenant, newest first. Values are \
             never returned.",
        ),
    );
    api.add(
        one,
        get,
        Doc::get("getSecret", "Get a secret")
            .about("Returns the hosts and timestamps of the secret. The value is never returned."),
    );
    api.add(
        "/api/tenants/{tenant_id}/secrets/{name}/usage",
        list_usage,
        Doc::get("listSecretUsage", "List the usage of a secret").about(
            "Returns the versions of tools whose templates contain the secret, newest first.",
        ),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteSecret", "Delete a secret")
            .about("Deletes the secret. Calls of tools that use it fail from then on."),
    );
}

async fn put(
    caller: Caller<SecretsWrite>,
    Path((tenant, SecretName(name))): Path<(TenantId, SecretName)>,
    if_match: IfMatch,
    Json(body): Json<PutSecret>,
) -> Result<Put<Secret>> {
    check_name(&name)?;
    let hosts = validate_hosts(body.hosts)?;
    let sealed = caller.service.keyring.seal(tenant, &name, &body.value)?;
    caller
        .change(async |tx| {
            let before = secrets::lock(tx, &name).await?;
            match &before {
                Some(row) => if_match.check(row.revision)?,
                None => if_match.check_absent()?,
            }
            let clock = &caller.service.clock;
            let row = build_secret_row(clock, before.as_ref(), (tenant, name, hosts), sealed);
            secrets::save(tx, &row).await?;
            let before = before.map(Secret::from);
            Ok(put_change(tenant, before.as_ref(), Secret::from(row)))
        })
        .await
}

/// The response and the audit event of a secret that was created or replaced.
fn put_change(tenant: TenantId, before: Option<&Secret>, after: Secret) -> Change<Put<Secret>> {
    let name = &after.name;
    if let Some(before) = before {
        let event = Event::updated("secret", name, before, &after);
        return Change::one(Put::Replaced(after), event);
    }
    let event = Event::created("secret", name, &after);
    let location = format!("/api/tenants/{tenant}/secrets/{name}");
    let created = Created {
        location,
        value: after,
    };
    Change::one(Put::Created(created), event)
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

async fn list_usage(
    caller: Caller<SecretsRead>,
    Path((_, SecretName(name))): Path<(TenantId, SecretName)>,
    list: List<NoFilter>,
) -> Result<Page<SecretUsage>> {
    let mut tx = caller.read().await?;
    let found = secrets::find(&mut tx, &name).await?;
    let secret = found.ok_or_else(Error::not_found)?;
    let rows = artifacts::secret_uses(&mut tx, &secret.name, list.window).await?;
    tx.finish();
    Ok(Page::new(
        rows,
        |row| row.version_id.uuid(),
        SecretUsage::from,
    ))
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
