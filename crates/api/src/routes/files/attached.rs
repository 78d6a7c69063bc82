//! Handlers of the files attached to agents.

use patchbay_domain::{AgentId, FileId, Invalid, TenantId, knowledge::MOST_FILES};
use patchbay_persistence::{agents, files};
use patchbay_service::{
    Error, Result,
    audit::{Change, Event},
    idempotency::Idempotent,
    knowledge::files::require_files,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::dto::File;
use crate::{
    extract::{
        Caller, IdempotencyKey, Json, List, NoFilter, Path,
        scopes::{AgentsRead, AgentsWrite, FilesRead},
    },
    response::{Deleted, Entity, Page, Resource},
};

/// Request to attach files to an agent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"file_ids": ["0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0"]}))]
pub struct AttachFiles {
    /// Ids of files of this tenant.
    #[schema(min_items = 1, max_items = 1000)]
    file_ids: Vec<FileId>,
}

/// Result of attaching files to an agent.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "file_ids": ["0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0"]}))]
pub struct AttachedFiles {
    /// Id of the agent.
    agent_id: AgentId,
    /// Ids of the requested files, without duplicates. All of them are attached.
    #[schema(max_items = 1000)]
    file_ids: Vec<FileId>,
}

impl Resource for AttachedFiles {}

/// An agent that a file is attached to.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"agent_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f20", "agent_name": "reception"}))]
pub struct FileUsage {
    /// Id of the agent.
    agent_id: AgentId,
    /// Name of the agent.
    #[schema(max_length = 200)]
    agent_name: String,
}

impl AttachFiles {
    /// Returns the ids, sorted and without duplicates.
    fn unique_ids(&self) -> Result<Vec<FileId>> {
        let mut ids = self.file_ids.clone();
        ids.sort_by_key(|id| id.uuid());
        ids.dedup();
        match ids.len() {
            1..=MOST_FILES => Ok(ids),
            _ => {
                let message = format!("must be 1 to {MOST_FILES} files");
                let invalid = Invalid::new("out_of_range", message);
                Err(Error::invalid_at("/file_ids", invalid))
            }
        }
    }
}

pub(super) async fn attach(
    caller: Caller<AgentsWrite>,
    Path((_, agent_id)): Path<(TenantId, AgentId)>,
    Json(body): Json<AttachFiles>,
    key: IdempotencyKey,
) -> Result<Idempotent<Entity<AttachedFiles>>> {
    let file_ids = body.unique_ids()?;
    let now = caller.service.clock.now();
    caller
        .once(&key, async |tx| {
            let agent = agents::lock_shared(tx, agent_id).await?;
            agent.ok_or_else(Error::not_found)?;
            require_files(tx, &body.file_ids, "/file_ids").await?;
            let new = files::attach(tx, agent_id, &file_ids, now).await?;
            let after = json!({ "file_ids": new });
            let value = Entity(AttachedFiles { agent_id, file_ids });
            if new.is_empty() {
                return Ok(Change::without_events(value));
            }
            let event = Event::new(
                "files_attached",
                "agent",
                agent_id,
                None::<&()>,
                Some(&after),
            );
            Ok(Change::one(value, event))
        })
        .await
}

pub(super) async fn list(
    caller: Caller<AgentsRead>,
    Path((_, agent_id)): Path<(TenantId, AgentId)>,
    list: List<NoFilter, true>,
) -> Result<Page<File>> {
    let mut tx = caller.read().await?;
    let agent = agents::find(&mut tx, agent_id).await?;
    agent.ok_or_else(Error::not_found)?;
    let filter = files::Filter {
        agent_id: Some(agent_id),
        ..files::Filter::default()
    };
    let rows = files::list(&mut tx, list.window, filter).await?;
    tx.finish();
    Page::try_new(rows, |(row, _)| row.id.uuid(), File::try_from)
}

pub(super) async fn list_usage(
    caller: Caller<FilesRead>,
    Path((_, id)): Path<(TenantId, FileId)>,
    list: List<NoFilter>,
) -> Result<Page<FileUsage>> {
    let mut tx = caller.read().await?;
    let file = files::find(&mut tx, id).await?;
    file.ok_or_else(Error::not_found)?;
    let rows = files::uses(&mut tx, id, list.window).await?;
    tx.finish();
    let usage = |(agent_id, agent_name)| FileUsage {
        agent_id,
        agent_name,
    };
    Ok(Page::new(rows, |(agent, _)| agent.uuid(), usage))
}

pub(super) async fn detach(
    caller: Caller<AgentsWrite>,
    Path((_, agent_id, id)): Path<(TenantId, AgentId, FileId)>,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            if !files::detach(tx, agent_id, id).await? {
                return Err(Error::not_found());
            }
            let before = json!({ "file_ids": [id] });
            let event = Event::new(
                "file_detached",
                "agent",
                agent_id,
                Some(&before),
                None::<&()>,
            );
            Ok(Change::one(Deleted, event))
        })
        .await
}
