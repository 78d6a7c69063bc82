//! What prompts, tools and runtime configs share: one mechanism, told apart by the type of the spec.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    ArtifactId, TenantId, VersionId,
    artifact::{ArtifactKind, Spec},
    text::{Description, Name, Note},
};
use patchbay_persistence::{TenantTx, artifacts, idempotency};
use patchbay_service::{
    Code, Error, Result,
    audit::{Change, Event},
    idempotency::Once,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::{Created, Deleted, Entity, Page, Resource},
    extract::{Caller, IdempotencyKey, IfMatch, Json, List, Patch, Path, scopes::Permission},
};

/// A named thing with immutable versions.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f30",
    "name": "reception",
    "description": "",
    "last_version": 1,
    "revision": 1,
    "created_at": "2026-11-23T20:00:00Z",
    "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct Artifact<S: ToSchema> {
    /// Id.
    id: ArtifactId,
    /// Name, unique among its kind in the tenant.
    #[schema(max_length = 200)]
    name: String,
    /// What it is for.
    #[schema(max_length = 2000)]
    description: String,
    /// Number of the newest version; 0 before the first.
    #[schema(minimum = 0)]
    last_version: i32,
    /// Counts changes of name and description.
    #[schema(minimum = 1)]
    revision: i64,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last changed or got a version.
    updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[schema(ignore)]
    kind: PhantomData<S>,
}

impl<S: ToSchema> Resource for Artifact<S> {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl<S: ToSchema> From<artifacts::Artifact> for Artifact<S> {
    fn from(row: artifacts::Artifact) -> Self {
        let artifacts::Artifact {
            tenant_id: _,
            id,
            name,
            description,
            last_version,
            revision,
            created_at,
            updated_at,
        } = row;
        Self {
            id,
            name,
            description,
            last_version,
            revision,
            created_at,
            updated_at,
            kind: PhantomData,
        }
    }
}

/// An immutable version.
#[derive(Clone, Serialize, ToSchema)]
pub struct Version<S: ToSchema> {
    /// Id.
    id: VersionId,
    /// Counts from 1 and is never reused.
    #[schema(minimum = 1)]
    number: i32,
    /// The content.
    spec: S,
    /// Why it was made.
    #[schema(max_length = 1000)]
    note: String,
    /// SHA-256 of the spec's canonical JSON (RFC 8785).
    #[schema(max_length = 64)]
    digest: String,
    /// Who made it: `operator` or the id of an API key.
    #[schema(max_length = 64)]
    author: String,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl<S: Spec + ToSchema> Resource for Version<S> {}

impl<S: Spec + ToSchema> TryFrom<artifacts::Version> for Version<S> {
    type Error = Error;
    fn try_from(row: artifacts::Version) -> Result<Self> {
        let artifacts::Version {
            tenant_id: _,
            id,
            artifact_id: _,
            number,
            spec,
            note,
            digest,
            author,
            created_at,
        } = row;
        Ok(Self {
            id,
            number,
            spec: spec.read().map_err(Error::internal)?,
            note,
            digest,
            author,
            created_at,
        })
    }
}

/// A prompt, tool or runtime config to be created; versions follow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "reception"}))]
pub struct CreateArtifact {
    /// Name, unique among its kind in the tenant.
    name: Name,
    /// What it is for.
    #[serde(default)]
    description: Description,
}

/// A change of name or description.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "reception by night"}))]
pub struct PatchArtifact {
    /// Name, unique among its kind in the tenant.
    #[serde(default)]
    name: Patch<Name>,
    /// What it is for; null clears it.
    #[serde(default)]
    description: Patch<Option<Description>>,
}

/// A version to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVersion<S: ToSchema> {
    /// The content.
    pub(super) spec: S,
    /// Why it is made.
    #[serde(default)]
    note: Note,
}

/// Which artifacts are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactFilter {
    /// Only the one of this name.
    #[schema(max_length = 200)]
    name: Option<String>,
}

/// Which versions are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionFilter {
    /// Only versions with this digest.
    #[schema(max_length = 64)]
    digest: Option<String>,
}

/// The path segment of a kind.
const fn segment(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Prompt => "prompts",
        ArtifactKind::RuntimeConfig => "runtime-configs",
        ArtifactKind::Tool => "tools",
    }
}

async fn locked(
    tx: &mut TenantTx,
    kind: ArtifactKind,
    id: ArtifactId,
) -> Result<artifacts::Artifact> {
    let found = artifacts::lock(tx, kind, id).await?;
    found.ok_or_else(Error::not_found)
}

pub(super) async fn create<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Json(body): Json<CreateArtifact>,
    key: IdempotencyKey,
) -> Result<Once<Created<Artifact<S>>>> {
    let tenant = caller.tenant()?;
    let now = caller.service.clock.now();
    let row = artifacts::Artifact {
        tenant_id: tenant,
        id: caller.service.clock.new_id(),
        name: body.name.into_inner(),
        description: body.description.into_inner(),
        last_version: 0,
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    caller
        .once(&key, async |tx| {
            artifacts::insert(tx, S::KIND, &row).await?;
            let value = Artifact::<S>::from(row);
            let event = Event::created(S::KIND.as_str(), value.id, &value);
            let segment = segment(S::KIND);
            let location = format!("/api/tenants/{tenant}/{segment}/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await
}

pub(super) async fn list<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    list: List<ArtifactFilter>,
) -> Result<Page<Artifact<S>>> {
    let mut tx = caller.read().await?;
    let name = list.filter.name.as_deref();
    let rows = artifacts::list(&mut tx, S::KIND, list.window, name).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Artifact::from))
}

pub(super) async fn get<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
) -> Result<Entity<Artifact<S>>> {
    let mut tx = caller.read().await?;
    let found = artifacts::find(&mut tx, S::KIND, id).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.into()))
}

pub(super) async fn patch<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
    if_match: IfMatch,
    Json(body): Json<PatchArtifact>,
) -> Result<Entity<Artifact<S>>> {
    let artifact = caller
        .change(async |tx| {
            let mut row = locked(tx, S::KIND, id).await?;
            if_match.check(row.revision)?;
            let before = Artifact::<S>::from(row.clone());
            body.name.apply(&mut row.name, Name::into_inner);
            let or_empty = |text: Option<Description>| text.unwrap_or_default().into_inner();
            body.description.apply(&mut row.description, or_empty);
            row.revision += 1;
            row.updated_at = caller.service.clock.now();
            artifacts::update(tx, &row).await?;
            let after = Artifact::<S>::from(row);
            let event = Event::updated(S::KIND.as_str(), id, &before, &after);
            Ok(Change::one(after, event))
        })
        .await?;
    Ok(Entity(artifact))
}

pub(super) async fn delete<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let row = locked(tx, S::KIND, id).await?;
            if_match.check(row.revision)?;
            refuse_if_bound(tx, id, None).await?;
            artifacts::delete(tx, id).await?;
            let path = format!("/api/tenants/{}/{}/{id}", tx.tenant(), segment(S::KIND));
            idempotency::erase_tests(tx, &path).await?;
            let event = Event::deleted(S::KIND.as_str(), id, &Artifact::<S>::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}

/// 409 naming the bindings that keep a version, or any version, from being deleted.
async fn refuse_if_bound(
    tx: &mut TenantTx,
    id: ArtifactId,
    version: Option<VersionId>,
) -> Result<()> {
    let bindings = artifacts::bound_by(tx, id, version).await?;
    if bindings.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = bindings.iter().map(ToString::to_string).collect();
    let detail = format!("Named by the bindings {}.", names.join(", "));
    Err(Error::new(Code::VersionInUse, detail))
}

pub(super) async fn create_version<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    path: Path<(TenantId, ArtifactId)>,
    body: Json<CreateVersion<S>>,
    key: IdempotencyKey,
) -> Result<Once<Created<Version<S>>>> {
    create_version_if(caller, path, body, key, async |_, _: &S| Ok(())).await
}

/// The same, if what the spec names outside of itself is as it should be.
pub(super) async fn create_version_if<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((tenant, id)): Path<(TenantId, ArtifactId)>,
    Json(body): Json<CreateVersion<S>>,
    key: IdempotencyKey,
    admit: impl AsyncFnOnce(&mut TenantTx, &S) -> Result<()>,
) -> Result<Once<Created<Version<S>>>> {
    let (body, spec, digest) = caller
        .compute(move |_| {
            let checked = body.spec.check();
            checked.map_err(|violations| Error::invalid_within("/spec", violations))?;
            let (spec, digest) = body.spec.seal()?;
            Ok((body, spec, digest))
        })
        .await?;
    let mut row = artifacts::Version {
        tenant_id: tenant,
        id: caller.service.clock.new_id(),
        artifact_id: id,
        number: 0,
        spec,
        note: body.note.to_string(),
        digest,
        author: caller.origin.actor.id(),
        created_at: caller.service.clock.now(),
    };
    caller
        .once(&key, async |tx| {
            row.number = locked(tx, S::KIND, id).await?.last_version + 1;
            admit(tx, &body.spec).await?;
            artifacts::insert_version(tx, &row).await?;
            let value = Version::<S>::try_from(row)?;
            let event = Event::created(version_kind(S::KIND), value.id, &value);
            let segment = segment(S::KIND);
            let location = format!("/api/tenants/{tenant}/{segment}/{id}/versions/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await
}

const fn version_kind(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Prompt => "prompt_version",
        ArtifactKind::RuntimeConfig => "runtime_config_version",
        ArtifactKind::Tool => "tool_version",
    }
}

pub(super) async fn list_versions<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
    list: List<VersionFilter>,
) -> Result<Page<Version<S>>> {
    let mut tx = caller.read().await?;
    let known = artifacts::find(&mut tx, S::KIND, id).await?;
    known.ok_or_else(Error::not_found)?;
    let digest = list.filter.digest.as_deref();
    let rows = artifacts::list_versions(&mut tx, id, list.window, digest).await?;
    tx.finish();
    caller
        .compute(move |_| Page::try_new(rows, |row| row.id.uuid(), Version::try_from))
        .await
}

pub(super) async fn get_version<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    Path((_, id, version)): Path<(TenantId, ArtifactId, VersionId)>,
) -> Result<Entity<Version<S>>> {
    let mut tx = caller.read().await?;
    let found = artifacts::find_version(&mut tx, S::KIND, Some(id), version).await?;
    tx.finish();
    let row = found.ok_or_else(Error::not_found)?;
    caller.compute(move |_| Ok(Entity(row.try_into()?))).await
}

pub(super) async fn delete_version<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((_, id, version)): Path<(TenantId, ArtifactId, VersionId)>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            locked(tx, S::KIND, id).await?;
            let found = artifacts::find_version(tx, S::KIND, Some(id), version).await?;
            let row = found.ok_or_else(Error::not_found)?;
            refuse_if_bound(tx, id, Some(version)).await?;
            artifacts::delete_version(tx, version).await?;
            let segment = segment(S::KIND);
            let path = format!(
                "/api/tenants/{}/{segment}/{id}/versions/{version}",
                tx.tenant()
            );
            idempotency::erase_tests(tx, &path).await?;
            let before = Version::<S>::try_from(row)?;
            let event = Event::deleted(version_kind(S::KIND), version, &before);
            Ok(Change::one(Deleted, event))
        })
        .await
}
