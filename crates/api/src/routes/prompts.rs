//! Prompts: what an agent is told.

use actix_web::http::Method;
use patchbay_domain::prompt::PromptSpec as Spec;

use super::artifacts;
use crate::{
    error::Code,
    extract::scopes::{PromptsRead as Read, PromptsWrite as Write},
    openapi::{Api, Doc},
};

pub(super) fn routes(api: &mut Api) {
    let tag = "Prompts";
    let all = "/api/tenants/{tenant_id}/prompts";
    let one = "/api/tenants/{tenant_id}/prompts/{prompt_id}";
    api.route(
        Method::POST,
        all,
        artifacts::create::<Spec, Write>,
        Doc {
            id: "createPrompt",
            tag,
            summary: "Create a prompt",
            description: "A name for versions to come; add the first one next.",
            errors: &[Code::NameTaken],
        },
    );
    api.route(
        Method::GET,
        all,
        artifacts::list::<Spec, Read>,
        Doc {
            id: "listPrompts",
            tag,
            summary: "List prompts",
            description: "The tenant's prompts, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        artifacts::get::<Spec, Read>,
        Doc {
            id: "getPrompt",
            tag,
            summary: "Read a prompt",
            description: "The prompt with the number of its newest version.",
            errors: &[],
        },
    );
    api.route(
        Method::PATCH,
        one,
        artifacts::patch::<Spec, Write>,
        Doc {
            id: "updatePrompt",
            tag,
            summary: "Rename a prompt",
            description: "Changes name or description. Content never changes: add a version.",
            errors: &[Code::NameTaken],
        },
    );
    api.route(Method::DELETE, one, artifacts::delete::<Spec, Write>, Doc {
        id: "deletePrompt",
        tag,
        summary: "Delete a prompt",
        description: "Deletes the prompt with its versions. Refused while a binding names one of them.",
        errors: &[Code::VersionInUse],
    });
    let all = "/api/tenants/{tenant_id}/prompts/{prompt_id}/versions";
    let one = "/api/tenants/{tenant_id}/prompts/{prompt_id}/versions/{version_id}";
    api.route(Method::POST, all, artifacts::create_version::<Spec, Write>, Doc {
        id: "createPromptVersion",
        tag,
        summary: "Add a version",
        description: "The template is compiled and may use declared variables only. Versions are immutable and numbered from 1.",
        errors: &[],
    });
    api.route(
        Method::GET,
        all,
        artifacts::list_versions::<Spec, Read>,
        Doc {
            id: "listPromptVersions",
            tag,
            summary: "List versions",
            description: "The versions of the prompt, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        artifacts::get_version::<Spec, Read>,
        Doc {
            id: "getPromptVersion",
            tag,
            summary: "Read a version",
            description: "The version with its content and digest.",
            errors: &[],
        },
    );
    api.route(
        Method::DELETE,
        one,
        artifacts::delete_version::<Spec, Write>,
        Doc {
            id: "deletePromptVersion",
            tag,
            summary: "Delete a version",
            description: "Its number is not used again. Refused while a binding names it.",
            errors: &[Code::VersionInUse],
        },
    );
}
