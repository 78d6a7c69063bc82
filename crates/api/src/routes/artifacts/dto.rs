//! What goes over the wire about prompts, tools and runtime configs.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use patchbay_domain::{
    ArtifactId, VersionId,
    artifact::Spec,
    text::{Description, Name, Note},
};
use patchbay_persistence::artifacts;
use patchbay_service::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{answer::Resource, extract::Patch};

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
    pub id: ArtifactId,
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
    pub id: VersionId,
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
    pub name: Name,
    /// What it is for.
    #[serde(default)]
    pub description: Description,
}

/// A change of name or description.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "reception by night"}))]
pub struct PatchArtifact {
    /// Name, unique among its kind in the tenant.
    #[serde(default)]
    pub name: Patch<Name>,
    /// What it is for; null clears it.
    #[serde(default)]
    pub description: Patch<Option<Description>>,
}

/// A version to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVersion<S: ToSchema> {
    /// The content.
    pub spec: S,
    /// Why it is made.
    #[serde(default)]
    pub note: Note,
}

/// Which artifacts are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactFilter {
    /// Only the one of this name.
    #[schema(max_length = 200)]
    pub name: Option<String>,
}

/// Which versions are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionFilter {
    /// Only versions with this digest.
    #[schema(max_length = 64)]
    pub digest: Option<String>,
}
