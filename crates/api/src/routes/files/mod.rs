//! Routes of files and their attachment to agents.

mod attached;
mod bulk;
mod content;
mod dto;
mod handlers;

use crate::{
    openapi::{Doc, Tag, TimeLimit},
    router::Api,
};
use patchbay_service::Code;

pub(super) fn routes(root: &mut Api) {
    let mut api = root.tag(Tag::Files);
    let all = "/api/tenants/{tenant_id}/files";
    let one = "/api/tenants/{tenant_id}/files/{file_id}";
    api.add(
        all,
        handlers::create,
        Doc::post("uploadFile", "Upload a file")
            .about(
                "Streams a file into the object store, as the raw body or as \
                 `multipart/form-data`. The media type is detected from the content. Identical \
                 contents are stored once. With `ingest`, the file becomes searchable. Supported \
                 formats for ingest are txt, md, html, pdf, docx, pptx, xlsx, csv, json, srt, vtt \
                 and eml.",
            )
            .errors(&[
                Code::StorageNotConfigured,
                Code::FileLimitReached,
                Code::EmbeddingsNotConfigured,
            ])
            .time(TimeLimit::Upload),
    );
    api.add(
        all,
        handlers::list,
        Doc::get("listFiles", "List files")
            .about("Returns the files of the tenant, newest first, each with its latest ingest.")
            .errors(&[Code::EmbeddingsNotConfigured]),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getFile", "Get a file").about(
            "Returns the file with its latest ingest. To download the content, use `…/content`.",
        ),
    );
    api.add(
        one,
        handlers::patch,
        Doc::patch("updateFile", "Update a file")
            .about("Changes the name or metadata. Searches use the new values immediately."),
    );
    api.add(
        one,
        handlers::delete,
        Doc::delete("deleteFile", "Delete a file").about(
            "Deletes the file with its chunks and attachments, and removes it from searches. The \
             content is deleted unless another file has the same content.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/content",
        content::get,
        Doc::get("getFileContent", "Download a file")
            .about(
                "Returns the content as uploaded, with the headers of a download. Supports `Range` \
                 requests with a single byte range.",
            )
            .errors(&[Code::StorageNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/ingest",
        handlers::ingest,
        Doc::post("ingestFile", "Ingest a file")
            .about(
                "Starts a new ingest of the file in the background, which extracts text, splits it \
                 into chunks and computes embeddings. Searches use the previous chunks until the \
                 ingest has finished. `…/status` shows the progress.",
            )
            .errors(&[
                Code::IngestRunning,
                Code::EmbeddingsNotConfigured,
                Code::StorageNotConfigured,
            ]),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/status",
        handlers::status,
        Doc::get("getFileStatus", "Get the ingest status of a file").about(
            "Returns the latest ingest of the file with the progress of each stage and the error, \
             if any.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/chunks",
        handlers::chunks,
        Doc::get("listFileChunks", "List the chunks of a file")
            .about("Returns the searchable chunks of the file, in the order of its text."),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/bulk-delete",
        bulk::delete,
        Doc::post("bulkDeleteFiles", "Delete files")
            .about("Deletes up to 100 files, as `deleteFile` does, and returns a result for each."),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/bulk-ingest",
        bulk::ingest,
        Doc::post("bulkIngestFiles", "Ingest files")
            .about("Starts an ingest of up to 100 files, as `ingestFile` does, and returns a result for each.")
            .errors(&[Code::StorageNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/usage",
        attached::list_usage,
        Doc::get("listFileUsage", "List the usage of a file")
            .about("Returns the agents that the file is attached to, newest first."),
    );
    attached_routes(root);
}

fn attached_routes(api: &mut Api) {
    let mut api = api.tag(Tag::Knowledge);
    let all = "/api/tenants/{tenant_id}/agents/{agent_id}/files";
    api.add(
        all,
        attached::attach,
        Doc::post("attachFiles", "Attach files to an agent").about(
            "Makes the files available to searches of the agent. Files that are already attached \
             stay attached.",
        ),
    );
    api.add(
        all,
        attached::list,
        Doc::get("listAgentFiles", "List the files of an agent")
            .about("Returns the files that are attached to the agent, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/agents/{agent_id}/files/{file_id}",
        attached::detach,
        Doc::delete("detachFile", "Detach a file from an agent")
            .about("Removes the file from searches of the agent. The file itself is not deleted."),
    );
}
