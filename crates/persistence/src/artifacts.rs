//! Prompts, tools and runtime configs with their immutable versions.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    AgentId, ArtifactId, BindingId, RawJson, TenantId, VersionId, artifact::ArtifactKind,
};

use crate::{
    Result, Rows, TenantTx, Window,
    names::{lower, starts_with},
    prepared::Prepare as _,
    schema::{agents, artifact_versions, artifacts, binding_tools, bindings},
};

/// One prompt, tool or runtime config.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = artifacts, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Artifact {
    pub tenant_id: TenantId,
    pub id: ArtifactId,
    pub name: String,
    pub description: String,
    pub last_version: i32,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// One immutable version.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = artifact_versions, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct Version {
    pub tenant_id: TenantId,
    pub id: VersionId,
    pub artifact_id: ArtifactId,
    pub number: i32,
    pub spec: RawJson,
    pub note: String,
    pub digest: String,
    pub author: String,
    pub created_at: DateTime<Utc>,
}

/// The data of a version that a binding is checked with.
#[derive(Debug, QueryableByName)]
pub struct Outline {
    /// The version.
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: VersionId,
    /// Kind of the artifact.
    #[diesel(sql_type = sql_types::Text)]
    pub kind: ArtifactKind,
    /// Function name, if it is a tool.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub function_name: Option<String>,
    /// Bytes of its spec.
    #[diesel(sql_type = sql_types::Integer)]
    pub bytes: i32,
}

/// Inserts an artifact. A taken name is the unique violation `artifacts_name_key`.
pub async fn insert(tx: &mut TenantTx, kind: ArtifactKind, artifact: &Artifact) -> Result<()> {
    diesel::insert_into(artifacts::table)
        .values((
            artifacts::tenant_id.eq(tx.tenant()),
            artifacts::id.eq(artifact.id),
            artifacts::kind.eq(kind),
            artifacts::name.eq(&artifact.name),
            artifacts::description.eq(&artifact.description),
            artifacts::revision.eq(artifact.revision),
            artifacts::created_at.eq(artifact.created_at),
            artifacts::updated_at.eq(artifact.updated_at),
        ))
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds an artifact of this kind.
pub async fn find(
    tx: &mut TenantTx,
    kind: ArtifactKind,
    id: ArtifactId,
) -> Result<Option<Artifact>> {
    Ok(artifacts::table
        .find((tx.tenant(), id))
        .filter(artifacts::kind.eq(kind))
        .select(Artifact::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Finds and locks an artifact of this kind.
pub async fn lock(
    tx: &mut TenantTx,
    kind: ArtifactKind,
    id: ArtifactId,
) -> Result<Option<Artifact>> {
    Ok(artifacts::table
        .find((tx.tenant(), id))
        .filter(artifacts::kind.eq(kind))
        .select(Artifact::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// A page of artifacts of this kind.
pub async fn list(
    tx: &mut TenantTx,
    kind: ArtifactKind,
    window: Window,
    name: Option<&str>,
) -> Result<Rows<Artifact>> {
    let tenant = tx.tenant();
    let query = |window: Window| {
        let mut query = artifacts::table
            .filter(artifacts::tenant_id.eq(tenant))
            .filter(artifacts::kind.eq(kind))
            .filter(artifacts::id.lt(window.below()))
            .order(artifacts::id.desc())
            .limit(window.fetch())
            .select(Artifact::as_select())
            .into_boxed();
        if let Some(name) = name {
            query = query.filter(starts_with(lower(artifacts::name), lower(name.to_owned())));
        }
        query
    };
    let total = window.total(tx, query).await?;
    let rows = window.cut(query(window).load(tx).await?);
    Ok(rows.with_total(total))
}

/// Stores the mutable columns of `artifact`.
pub async fn update(tx: &mut TenantTx, artifact: &Artifact) -> Result<()> {
    diesel::update(artifacts::table.find((tx.tenant(), artifact.id)))
        .set((
            artifacts::name.eq(&artifact.name),
            artifacts::description.eq(&artifact.description),
            artifacts::last_version.eq(artifact.last_version),
            artifacts::revision.eq(artifact.revision),
            artifacts::updated_at.eq(artifact.updated_at),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes an artifact with its versions; a bound version makes it a foreign key violation.
pub async fn delete(tx: &mut TenantTx, id: ArtifactId) -> Result<()> {
    diesel::delete(artifacts::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}

/// Inserts a version, numbered from the artifact's counter (whose row must be locked).
pub async fn insert_version(tx: &mut TenantTx, version: &Version) -> Result<()> {
    diesel::insert_into(artifact_versions::table)
        .values(version)
        .execute(tx)
        .await?;
    diesel::update(artifacts::table.find((tx.tenant(), version.artifact_id)))
        .set((
            artifacts::last_version.eq(version.number),
            artifacts::updated_at.eq(version.created_at),
        ))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds a version of an artifact of this kind; without `artifact`, of any.
pub async fn find_version(
    tx: &mut TenantTx,
    kind: ArtifactKind,
    artifact: Option<ArtifactId>,
    id: VersionId,
) -> Result<Option<Version>> {
    let of_kind = artifacts::table
        .filter(artifacts::tenant_id.eq(tx.tenant()))
        .filter(artifacts::kind.eq(kind))
        .select(artifacts::id);
    let mut query = artifact_versions::table
        .filter(artifact_versions::tenant_id.eq(tx.tenant()))
        .filter(artifact_versions::id.eq(id))
        .filter(artifact_versions::artifact_id.eq_any(of_kind))
        .select(Version::as_select())
        .into_boxed();
    if let Some(artifact) = artifact {
        query = query.filter(artifact_versions::artifact_id.eq(artifact));
    }
    Ok(query.first(tx).await.optional()?)
}

/// Those of these versions that exist and are of this kind.
pub async fn find_versions(
    tx: &mut TenantTx,
    kind: ArtifactKind,
    ids: &[VersionId],
) -> Result<Vec<Version>> {
    let of_kind = artifacts::table
        .filter(artifacts::tenant_id.eq(tx.tenant()))
        .filter(artifacts::kind.eq(kind))
        .select(artifacts::id);
    Ok(artifact_versions::table
        .filter(artifact_versions::tenant_id.eq(tx.tenant()))
        .filter(artifact_versions::id.eq_any(ids))
        .filter(artifact_versions::artifact_id.eq_any(of_kind))
        .select(Version::as_select())
        .load(tx)
        .await?)
}

/// The outlines of those of these versions that exist, without their specs.
pub async fn outlines(tx: &mut TenantTx, ids: &[VersionId]) -> Result<Vec<Outline>> {
    let query = "SELECT v.id, a.kind, v.spec ->> 'function_name' AS function_name, \
                        octet_length(v.spec::text) AS bytes \
                 FROM artifact_versions v \
                 JOIN artifacts a ON a.tenant_id = v.tenant_id AND a.id = v.artifact_id \
                 WHERE v.tenant_id = $1 AND v.id = ANY($2)";
    Ok(diesel::sql_query(query)
        .bind::<sql_types::Uuid, _>(tx.tenant())
        .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
        .prepared()
        .load(tx)
        .await?)
}

/// The spec of a version.
pub async fn find_spec(tx: &mut TenantTx, id: VersionId) -> Result<Option<RawJson>> {
    Ok(artifact_versions::table
        .find((tx.tenant(), id))
        .select(artifact_versions::spec)
        .first(tx)
        .await
        .optional()?)
}

/// A page of an artifact's versions.
pub async fn list_versions(
    tx: &mut TenantTx,
    artifact: ArtifactId,
    window: Window,
    digest: Option<&str>,
) -> Result<Rows<Version>> {
    let mut query = artifact_versions::table
        .filter(artifact_versions::tenant_id.eq(tx.tenant()))
        .filter(artifact_versions::artifact_id.eq(artifact))
        .filter(artifact_versions::id.lt(window.below()))
        .order(artifact_versions::id.desc())
        .limit(window.fetch())
        .select(Version::as_select())
        .into_boxed();
    if let Some(digest) = digest {
        query = query.filter(artifact_versions::digest.eq(digest.to_owned()));
    }
    let rows = query.load_stream(tx).await?;
    window.fill(rows, |row: &Version| row.spec.len()).await
}

/// Deletes a version; a binding that names it makes it a foreign key violation.
pub async fn delete_version(tx: &mut TenantTx, id: VersionId) -> Result<()> {
    diesel::delete(artifact_versions::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}

/// The bindings that name any of an artifact's versions, or the one given, each with its agent and the agent's name; 20
/// at most.
pub async fn bound_by(
    tx: &mut TenantTx,
    artifact: ArtifactId,
    version: Option<VersionId>,
) -> Result<Vec<(BindingId, AgentId, String)>> {
    let mut versions = artifact_versions::table
        .filter(artifact_versions::tenant_id.eq(tx.tenant()))
        .filter(artifact_versions::artifact_id.eq(artifact))
        .select(artifact_versions::id)
        .into_boxed();
    if let Some(version) = version {
        versions = versions.filter(artifact_versions::id.eq(version));
    }
    let ids: Vec<VersionId> = versions.load(tx).await?;
    let with_tool = binding_tools::table
        .filter(binding_tools::tenant_id.eq(tx.tenant()))
        .filter(binding_tools::tool_version_id.eq_any(&ids))
        .select(binding_tools::binding_id);
    let of_agent = agents::tenant_id
        .eq(bindings::tenant_id)
        .and(agents::id.eq(bindings::agent_id));
    Ok(bindings::table
        .inner_join(agents::table.on(of_agent))
        .filter(bindings::tenant_id.eq(tx.tenant()))
        .filter(
            bindings::prompt_version_id
                .eq_any(&ids)
                .or(bindings::runtime_config_version_id.eq_any(&ids))
                .or(bindings::id.eq_any(with_tool)),
        )
        .order(bindings::id)
        .limit(20)
        .select((bindings::id, bindings::agent_id, agents::name))
        .load(tx)
        .await?)
}

/// A version of a tool that a secret is part of.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "columns")]
pub struct SecretUse {
    #[diesel(sql_type = sql_types::Uuid)]
    pub tool_id: ArtifactId,
    #[diesel(sql_type = sql_types::Text)]
    pub tool_name: String,
    #[diesel(sql_type = sql_types::Uuid)]
    pub version_id: VersionId,
    #[diesel(sql_type = sql_types::Integer)]
    pub version_number: i32,
}

/// A page of the versions of tools whose templates name this secret. The name has letters, digits and `_` only.
pub async fn secret_uses(tx: &mut TenantTx, name: &str, window: Window) -> Result<Rows<SecretUse>> {
    let query = "SELECT a.id AS tool_id, a.name AS tool_name, v.id AS version_id, v.number AS version_number \
                 FROM artifact_versions v JOIN artifacts a ON a.tenant_id = $1 AND a.id = v.artifact_id \
                 WHERE v.tenant_id = $1 AND a.kind = 'tool' AND v.id < $2 \
                     AND v.spec::text ~ ('\\{\\{-?\\s*secrets\\.' || $3 || '\\s*-?\\}\\}') \
                 ORDER BY v.id DESC LIMIT $4";
    let rows = diesel::sql_query(query)
        .bind::<sql_types::Uuid, _>(tx.tenant())
        .bind::<sql_types::Uuid, _>(window.below())
        .bind::<sql_types::Text, _>(name)
        .bind::<sql_types::BigInt, _>(window.fetch())
        .prepared()
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}
