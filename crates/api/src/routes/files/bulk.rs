//! Changes of many files in one request, with a result for each.

use patchbay_domain::FileId;
use patchbay_service::{Result, knowledge};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::handlers::{delete_one, request_ingest};
use crate::{
    extract::{Caller, Json, scopes::FilesWrite},
    failure::Failure,
    response::{Entity, Resource},
};

/// Files to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"file_ids": ["0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0"]}))]
pub struct BulkFiles {
    /// Ids of the files.
    #[schema(min_items = 1, max_items = 100)]
    file_ids: Vec<FileId>,
}

/// Results of a change of many files.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"results": [
    {"file_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0", "error": null},
    {"file_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd1", "error": {"code": "not_found", "message": "There is no such resource."}}
]}))]
pub struct BulkResult {
    /// A result for each id, in the order of the request.
    #[schema(max_items = 100)]
    results: Vec<BulkItem>,
}

/// Result of the change of one file.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"file_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2fd0", "error": null}))]
pub struct BulkItem {
    /// Id of the file.
    file_id: FileId,
    /// Why the file was not changed, with the code that a request for it alone would have had; null if it was changed.
    error: Option<Failure>,
}

impl Resource for BulkResult {}

impl BulkFiles {
    /// Changes the files one after the other, each in its own transaction.
    async fn each<T>(
        self,
        change: impl AsyncFn(FileId) -> Result<T>,
    ) -> Result<Entity<BulkResult>> {
        let mut results = Vec::with_capacity(self.file_ids.len());
        for file_id in self.file_ids {
            let error = change(file_id).await.err();
            let error = error.map(|error| Failure::new(error.code.name(), error.detail));
            results.push(BulkItem { file_id, error });
        }
        Ok(Entity(BulkResult { results }))
    }
}

pub(super) async fn delete(
    caller: Caller<FilesWrite>,
    Json(body): Json<BulkFiles>,
) -> Result<Entity<BulkResult>> {
    let tenant = caller.tenant()?;
    let delete = async |id| delete_one(&caller, (tenant, id), |_| Ok(())).await;
    let results = body.each(delete).await;
    caller.service.job_due.notify_one();
    results
}

pub(super) async fn ingest(
    caller: Caller<FilesWrite>,
    Json(body): Json<BulkFiles>,
) -> Result<Entity<BulkResult>> {
    let service = &caller.service;
    knowledge::objects::require_store(service)?;
    let ingest = async |id| {
        let request = caller.change(async |tx| request_ingest(service, tx, id).await);
        request.await
    };
    let results = body.each(ingest).await;
    service.ingest_due.notify_one();
    results
}
