//! Request and response types of prompts, tools and runtime configs.

use std::marker::PhantomData;

use patchbay_domain::{
    AgentId, ArtifactId, BindingId, VersionId,
    artifact::Spec,
    text::{Description, Name, Note},
};
use patchbay_persistence::{artifacts, bindings};
use patchbay_service::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{extract::Patch, response::Resource, timestamp::Timestamp};

/// A prompt, tool or runtime config. Its content is stored in immutable versions.
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
    /// Id of the resource.
    pub id: ArtifactId,
    /// Name, unique within the tenant among resources of the same kind.
    #[schema(max_length = 200)]
    name: String,
    /// Description of the resource.
    #[schema(max_length = 2000)]
    description: String,
    /// Number of the latest version; 0 if there is none.
    #[schema(minimum = 0)]
    last_version: i32,
    /// Revision number, incremented with every change of name or description.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the resource was created.
    created_at: Timestamp,
    /// Time at which the resource was last changed or a version was added.
    updated_at: Timestamp,
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
            created_at: created_at.into(),
            updated_at: updated_at.into(),
            kind: PhantomData,
        }
    }
}

/// An immutable version of a prompt, tool or runtime config.
#[derive(Clone, Serialize, ToSchema)]
pub struct Version<S: ToSchema> {
    /// Id of the version.
    pub id: VersionId,
    /// Id of the prompt, tool or runtime config that it is a version of.
    parent_id: ArtifactId,
    /// Number of the version, counted from 1 and never reused.
    #[schema(minimum = 1)]
    number: i32,
    /// Content of the version.
    spec: S,
    /// Note on why the version was created.
    #[schema(max_length = 1000)]
    note: String,
    /// SHA-256 of the spec's canonical JSON (RFC 8785).
    #[schema(max_length = 64, pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// Creator of the version: `operator` or the id of an API key.
    #[schema(max_length = 64)]
    author: String,
    /// Time at which the version was created.
    created_at: Timestamp,
}

impl<S: Spec + ToSchema> Resource for Version<S> {}

impl<S: Spec + ToSchema> TryFrom<artifacts::Version> for Version<S> {
    type Error = Error;
    fn try_from(row: artifacts::Version) -> Result<Self> {
        let artifacts::Version {
            tenant_id: _,
            id,
            artifact_id,
            number,
            spec,
            note,
            digest,
            author,
            created_at,
        } = row;
        Ok(Self {
            id,
            parent_id: artifact_id,
            number,
            spec: spec.read().map_err(Error::internal)?,
            note,
            digest,
            author,
            created_at: created_at.into(),
        })
    }
}

/// Request to create a prompt, tool or runtime config. Versions are added separately.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "reception"}))]
pub struct CreateArtifact {
    /// Name, unique within the tenant among resources of the same kind.
    pub name: Name,
    /// Description of the resource.
    #[serde(default)]
    pub description: Description,
}

/// Request to update the name or description.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "reception by night"}))]
pub struct PatchArtifact {
    /// Name, unique within the tenant among resources of the same kind.
    #[serde(default)]
    pub name: Patch<Name>,
    /// Description of the resource; null clears it.
    #[serde(default)]
    pub description: Patch<Option<Description>>,
}

/// Request to add a version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVersion<S: ToSchema> {
    /// Content of the version.
    pub spec: S,
    /// Note on why the version is created.
    #[serde(default)]
    pub note: Note,
}

/// Filters for listing prompts, tools or runtime configs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactFilter {
    /// Only resources whose name begins with this, in upper or lower case.
    #[schema(max_length = 200)]
    pub name: Option<String>,
}

/// Filters for listing versions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionFilter {
    /// Only versions with this digest.
    #[schema(max_length = 64)]
    pub digest: Option<String>,
}

/// A binding that pins a version of the resource.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "binding_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f40", "binding_number": 3, "active": true,
    "agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "agent_name": "reception",
    "version_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f31", "version_number": 2
}))]
pub struct Usage {
    /// Id of the binding.
    pub binding_id: BindingId,
    /// Number of the binding.
    #[schema(minimum = 1)]
    binding_number: i32,
    /// Whether the binding is the agent's active one.
    active: bool,
    /// Id of the agent.
    agent_id: AgentId,
    /// Name of the agent.
    #[schema(max_length = 200)]
    agent_name: String,
    /// Id of the pinned version.
    version_id: VersionId,
    /// Number of the pinned version.
    #[schema(minimum = 1)]
    version_number: i32,
}

impl From<bindings::Use> for Usage {
    fn from(row: bindings::Use) -> Self {
        let bindings::Use {
            binding_id,
            binding_number,
            agent_id,
            agent_name,
            active,
            version_id,
            version_number,
        } = row;
        Self {
            binding_id,
            binding_number,
            active,
            agent_id,
            agent_name,
            version_id,
            version_number,
        }
    }
}
