//! Handlers of artifacts and their versions.

use patchbay_domain::{
    ArtifactId, RawJson, TenantId, VersionId,
    artifact::{ArtifactKind, Spec},
    text::{Description, Name},
};
use patchbay_persistence::{TenantTx, artifacts, bindings, idempotency};
use patchbay_service::{
    Blocker, Code, Error, Result,
    audit::{Change, Event},
    idempotency::Idempotent,
};
use utoipa::ToSchema;

use super::dto::{
    Artifact, ArtifactFilter, CreateArtifact, CreateVersion, PatchArtifact, Usage, Version,
    VersionFilter,
};
use crate::{
    extract::{Caller, IdempotencyKey, IfMatch, Json, List, NoFilter, Path, scopes::Permission},
    response::{Created, Deleted, Entity, Page},
};

/// Returns the path segment of a kind of artifact.
const fn segment(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Prompt => "prompts",
        ArtifactKind::RuntimeConfig => "runtime-configs",
        ArtifactKind::Tool => "tools",
    }
}

async fn lock(
    tx: &mut TenantTx,
    kind: ArtifactKind,
    id: ArtifactId,
) -> Result<artifacts::Artifact> {
    let found = artifacts::lock(tx, kind, id).await?;
    found.ok_or_else(Error::not_found)
}

pub(crate) async fn create<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Json(body): Json<CreateArtifact>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<Artifact<S>>>> {
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

pub(crate) async fn list<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    list: List<ArtifactFilter, true>,
) -> Result<Page<Artifact<S>>> {
    let mut tx = caller.read().await?;
    let name = list.filter.name.as_deref();
    let rows = artifacts::list(&mut tx, S::KIND, list.window, name).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Artifact::from))
}

pub(crate) async fn get<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
) -> Result<Entity<Artifact<S>>> {
    let mut tx = caller.read().await?;
    let found = artifacts::find(&mut tx, S::KIND, id).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.into()))
}

pub(crate) async fn patch<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
    if_match: IfMatch,
    Json(body): Json<PatchArtifact>,
) -> Result<Entity<Artifact<S>>> {
    let artifact = caller
        .change(async |tx| {
            let mut row = lock(tx, S::KIND, id).await?;
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

pub(crate) async fn delete<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let row = lock(tx, S::KIND, id).await?;
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

/// Fails with 409 and the bindings if the version, or any version if none is given, is used by bindings.
async fn refuse_if_bound(
    tx: &mut TenantTx,
    id: ArtifactId,
    version: Option<VersionId>,
) -> Result<()> {
    let bindings = artifacts::bound_by(tx, id, version).await?;
    let ids: Vec<_> = bindings.iter().map(|(id, ..)| id.to_string()).collect();
    let detail = format!("It is used by the bindings {}.", ids.join(", "));
    let bindings = bindings.into_iter().map(|(id, agent, name)| Blocker {
        name: Some(name),
        agent_id: Some(agent),
        ..Blocker::unnamed("binding", id.uuid())
    });
    Error::require_unblocked(Code::VersionInUse, &detail, bindings)
}

pub(crate) async fn create_version<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    path: Path<(TenantId, ArtifactId)>,
    body: Json<CreateVersion<S>>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<Version<S>>>> {
    create_version_if(caller, path, body, key, async |_, _: &S| Ok(())).await
}

/// Like [`create_version`], but first runs `admit` in the transaction, which checks what the spec refers to.
pub(crate) async fn create_version_if<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((tenant, id)): Path<(TenantId, ArtifactId)>,
    Json(body): Json<CreateVersion<S>>,
    key: IdempotencyKey,
    admit: impl AsyncFnOnce(&mut TenantTx, &S) -> Result<()>,
) -> Result<Idempotent<Created<Version<S>>>> {
    let (body, spec, digest) = caller.compute(move |_| check_and_seal(body)).await?;
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
            row.number = lock(tx, S::KIND, id).await?.last_version + 1;
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

/// Validates the spec, and computes its canonical JSON and digest.
fn check_and_seal<S: Spec + ToSchema>(
    body: CreateVersion<S>,
) -> Result<(CreateVersion<S>, RawJson, String)> {
    let checked = body.spec.check();
    checked.map_err(|violations| Error::invalid_within("/spec", violations))?;
    let (spec, digest) = body.spec.seal()?;
    Ok((body, spec, digest))
}

const fn version_kind(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Prompt => "prompt_version",
        ArtifactKind::RuntimeConfig => "runtime_config_version",
        ArtifactKind::Tool => "tool_version",
    }
}

pub(crate) async fn list_versions<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
    list: List<VersionFilter>,
) -> Result<Page<Version<S>>> {
    let mut tx = caller.read().await?;
    let found = artifacts::find(&mut tx, S::KIND, id).await?;
    found.ok_or_else(Error::not_found)?;
    let digest = list.filter.digest.as_deref();
    let rows = artifacts::list_versions(&mut tx, id, list.window, digest).await?;
    tx.finish();
    caller
        .compute(move |_| Page::try_new(rows, |row| row.id.uuid(), Version::try_from))
        .await
}

pub(crate) async fn get_version<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    Path((_, id, version)): Path<(TenantId, ArtifactId, VersionId)>,
) -> Result<Entity<Version<S>>> {
    let mut tx = caller.read().await?;
    let found = artifacts::find_version(&mut tx, S::KIND, Some(id), version).await?;
    tx.finish();
    let row = found.ok_or_else(Error::not_found)?;
    caller.compute(move |_| Ok(Entity(row.try_into()?))).await
}

pub(crate) async fn delete_version<S: Spec + ToSchema, W: Permission>(
    caller: Caller<W>,
    Path((_, id, version)): Path<(TenantId, ArtifactId, VersionId)>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            lock(tx, S::KIND, id).await?;
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

pub(crate) async fn list_usage<S: Spec + ToSchema, R: Permission>(
    caller: Caller<R>,
    Path((_, id)): Path<(TenantId, ArtifactId)>,
    list: List<NoFilter>,
) -> Result<Page<Usage>> {
    let mut tx = caller.read().await?;
    let found = artifacts::find(&mut tx, S::KIND, id).await?;
    found.ok_or_else(Error::not_found)?;
    let rows = bindings::uses(&mut tx, id, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.binding_id.uuid(), Usage::from))
}
