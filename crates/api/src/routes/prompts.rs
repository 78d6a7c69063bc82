//! Prompts: what an agent is told.

use actix_web::http::Method;
use patchbay_domain::{
    ArtifactId, TenantId, VersionId,
    artifact::ArtifactKind,
    prompt::{PromptSpec as Spec, Variables},
    template::Budget,
};
use patchbay_persistence::artifacts as rows;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::artifacts;
use crate::{
    answer::{Entity, Resource},
    error::{ApiError, Code, Result},
    extract::{
        Caller, Json, Path,
        scopes::{PromptsRead as Read, PromptsWrite as Write},
    },
    openapi::{Api, Doc, Tag},
};

/// Values to try a prompt with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"variables": {"company": "Acme"}}))]
pub struct RenderPrompt {
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Variables,
}

/// A prompt with its variables filled in.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"prompt": "You help callers of Acme.", "greeting": "Welcome to Acme!"}))]
pub struct RenderedPrompt {
    /// The prompt.
    #[schema(max_length = 262144)]
    prompt: String,
    /// The greeting; null where the version has none.
    #[schema(max_length = 262144)]
    greeting: Option<String>,
}

impl Resource for RenderedPrompt {}

async fn render(
    caller: Caller<Read>,
    Path((_, id, version)): Path<(TenantId, ArtifactId, VersionId)>,
    Json(body): Json<RenderPrompt>,
) -> Result<Entity<RenderedPrompt>> {
    let mut tx = caller.read().await?;
    let found = rows::find_version(&mut tx, ArtifactKind::Prompt, Some(id), version).await?;
    tx.finish();
    let spec = found.ok_or_else(ApiError::not_found)?.spec;
    let rendered = caller
        .compute(move |deadline| {
            let spec: Spec = spec.read().map_err(ApiError::internal)?;
            let rendered = spec.render(&body.variables, Budget::until(Some(deadline)));
            rendered.map_err(|found| ApiError::invalid_within("/variables", found))
        })
        .await?;
    Ok(Entity(RenderedPrompt {
        prompt: rendered.prompt,
        greeting: rendered.greeting,
    }))
}

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::Prompts;
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
            summary: "Get a prompt",
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
            summary: "Update a prompt",
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
        summary: "Create a prompt version",
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
            summary: "List prompt versions",
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
            summary: "Get a prompt version",
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
            summary: "Delete a prompt version",
            description: "Its number is not used again. Refused while a binding names it.",
            errors: &[Code::VersionInUse],
        },
    );
    api.route(
        Method::POST,
        "/api/tenants/{tenant_id}/prompts/{prompt_id}/versions/{version_id}/render",
        render,
        Doc {
            id: "renderPrompt",
            tag,
            summary: "Render a prompt version",
            description: "Fills the variables in, as a session would, and keeps nothing.",
            errors: &[],
        },
    );
}
