//! Files: what agents know.

mod attached;
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
                "Streams a file into the object store, as the bare body or as \
                 `multipart/form-data`. Its type is told from its content. The same bytes are \
                 stored once. With `ingest` it becomes searchable: txt, md, html, pdf, docx, \
                 pptx, xlsx, csv, json, srt, vtt and eml.",
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
            .about("The tenant's files, newest first, each with its latest ingest.")
            .errors(&[Code::EmbeddingsNotConfigured]),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getFile", "Get a file")
            .about("The file with its latest ingest. Its bytes are at `…/content`."),
    );
    api.add(
        one,
        handlers::patch,
        Doc::patch("updateFile", "Update a file")
            .about("Changes name and metadata. Searches see the new ones at once."),
    );
    api.add(
        one,
        handlers::delete,
        Doc::delete("deleteFile", "Delete a file").about(
            "Deletes the file with its chunks and attachments; its bytes go when no other \
                 file has them. Searches do not see it any more.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/content",
        content::get,
        Doc::get("getFileContent", "Download a file")
            .about(
                "The bytes as they were uploaded, to be saved rather than shown. Understands \
                 `Range` with one range of bytes.",
            )
            .errors(&[Code::StorageNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/ingest",
        handlers::ingest,
        Doc::post("ingestFile", "Ingest a file")
            .about(
                "Begins a new generation in the background: text, chunks, embeddings. \
                 Searches see the old chunks until the new ones are complete. Follow it at \
                 `…/status`.",
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
        Doc::get("getFileStatus", "Get the ingest status of a file")
            .about("The latest ingest, stage by stage, with its progress and what went wrong."),
    );
    api.add(
        "/api/tenants/{tenant_id}/files/{file_id}/chunks",
        handlers::chunks,
        Doc::get("listFileChunks", "List the chunks of a file")
            .about("The chunks of the file that searches see, in the order of its text."),
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
            "The agent's searches see them from now on. Those that are attached already \
                 stay.",
        ),
    );
    api.add(
        all,
        attached::list,
        Doc::get("listAgentFiles", "List the files of an agent")
            .about("The files that are attached to the agent, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/agents/{agent_id}/files/{file_id}",
        attached::detach,
        Doc::delete("detachFile", "Detach a file from an agent")
            .about("The agent's searches do not see it any more. The file stays."),
    );
}
