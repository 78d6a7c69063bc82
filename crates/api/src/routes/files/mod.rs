//! Files: what agents know.

mod attached;
mod content;
mod dto;
mod handlers;

use actix_web::http::Method;

pub use attached::require_files;
pub use dto::chunk_id;

use crate::{
    error::Code,
    openapi::{Api, Doc, Tag},
};

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::Files;
    let all = "/api/tenants/{tenant_id}/files";
    let one = "/api/tenants/{tenant_id}/files/{file_id}";
    api.route(Method::POST, all, handlers::create, Doc {
        id: "uploadFile",
        tag,
        summary: "Upload a file",
        description: "Streams a file into the object store, as the bare body or as `multipart/form-data`. Its type is told from its content. \
            The same bytes are stored once. With `ingest` it becomes searchable: txt, md, html, pdf, docx, pptx, xlsx, csv, json, srt, vtt and eml.",
        errors: &[Code::StorageNotConfigured, Code::FileLimitReached, Code::EmbeddingsNotConfigured],
    });
    api.route(
        Method::GET,
        all,
        handlers::list,
        Doc {
            id: "listFiles",
            tag,
            summary: "List files",
            description: "The tenant's files, newest first, each with its latest ingest.",
            errors: &[Code::EmbeddingsNotConfigured],
        },
    );
    api.route(
        Method::GET,
        one,
        handlers::get,
        Doc {
            id: "getFile",
            tag,
            summary: "Get a file",
            description: "The file with its latest ingest. Its bytes are at `…/content`.",
            errors: &[],
        },
    );
    api.route(
        Method::PATCH,
        one,
        handlers::patch,
        Doc {
            id: "updateFile",
            tag,
            summary: "Update a file",
            description: "Changes name and metadata. Searches see the new ones at once.",
            errors: &[],
        },
    );
    api.route(Method::DELETE, one, handlers::delete, Doc {
        id: "deleteFile",
        tag,
        summary: "Delete a file",
        description: "Deletes the file with its chunks and attachments; its bytes go when no other file has them. Searches do not see it any more.",
        errors: &[],
    });
    api.route(Method::GET, "/api/tenants/{tenant_id}/files/{file_id}/content", content::get, Doc {
        id: "getFileContent",
        tag,
        summary: "Download a file",
        description: "The bytes as they were uploaded, to be saved rather than shown. Understands `Range` with one range of bytes.",
        errors: &[Code::StorageNotConfigured, Code::RangeNotSatisfiable],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/files/{file_id}/ingest", handlers::ingest, Doc {
        id: "ingestFile",
        tag,
        summary: "Ingest a file",
        description: "Begins a new generation in the background: text, chunks, embeddings. Searches see the old chunks until the new ones are complete. \
            Follow it at `…/status`.",
        errors: &[Code::IngestRunning, Code::EmbeddingsNotConfigured, Code::StorageNotConfigured],
    });
    api.route(Method::GET, "/api/tenants/{tenant_id}/files/{file_id}/status", handlers::status, Doc {
        id: "getFileStatus",
        tag,
        summary: "Get the ingest status of a file",
        description: "The latest ingest, stage by stage, with its progress and what went wrong.",
        errors: &[],
    });
    api.route(
        Method::GET,
        "/api/tenants/{tenant_id}/files/{file_id}/chunks",
        handlers::chunks,
        Doc {
            id: "listFileChunks",
            tag,
            summary: "List the chunks of a file",
            description: "The chunks of the file that searches see, in the order of its text.",
            errors: &[],
        },
    );
    let tag = Tag::Knowledge;
    let all = "/api/tenants/{tenant_id}/agents/{agent_id}/files";
    api.route(Method::POST, all, attached::attach, Doc {
        id: "attachFiles",
        tag,
        summary: "Attach files to an agent",
        description: "The agent's searches see them from now on. Those that are attached already stay.",
        errors: &[],
    });
    api.route(
        Method::GET,
        all,
        attached::list,
        Doc {
            id: "listAgentFiles",
            tag,
            summary: "List the files of an agent",
            description: "The files that are attached to the agent, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::DELETE,
        "/api/tenants/{tenant_id}/agents/{agent_id}/files/{file_id}",
        attached::detach,
        Doc {
            id: "detachFile",
            tag,
            summary: "Detach a file from an agent",
            description: "The agent's searches do not see it any more. The file stays.",
            errors: &[],
        },
    );
}
