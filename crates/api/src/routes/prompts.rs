//! Prompts: what an agent is told.

use patchbay_domain::{
    ArtifactId, TenantId, VersionId,
    artifact::ArtifactKind,
    prompt::{PromptSpec as Spec, Variables},
    template::Budget,
};
use patchbay_persistence::artifacts as rows;
use patchbay_service::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::artifacts;
use crate::{
    answer::{Entity, Resource},
    extract::{
        Caller, Json, Path,
        scopes::{PromptsRead as Read, PromptsWrite as Write},
    },
    openapi::{Doc, Tag},
    router::Api,
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
    let spec = found.ok_or_else(Error::not_found)?.spec;
    let rendered = caller
        .compute(move |deadline| {
            let spec: Spec = spec.read().map_err(Error::internal)?;
            let rendered = spec.render(&body.variables, Budget::until(Some(deadline)));
            rendered.map_err(|found| Error::invalid_within("/variables", found))
        })
        .await?;
    Ok(Entity(RenderedPrompt {
        prompt: rendered.prompt,
        greeting: rendered.greeting,
    }))
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Prompts);
    let all = "/api/tenants/{tenant_id}/prompts";
    let one = "/api/tenants/{tenant_id}/prompts/{prompt_id}";
    api.add(
        all,
        artifacts::create::<Spec, Write>,
        Doc::post("createPrompt", "Create a prompt")
            .about("A name for versions to come; add the first one next.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        all,
        artifacts::list::<Spec, Read>,
        Doc::get("listPrompts", "List prompts").about("The tenant's prompts, newest first."),
    );
    api.add(
        one,
        artifacts::get::<Spec, Read>,
        Doc::get("getPrompt", "Get a prompt")
            .about("The prompt with the number of its newest version."),
    );
    api.add(
        one,
        artifacts::patch::<Spec, Write>,
        Doc::patch("updatePrompt", "Update a prompt")
            .about("Changes name or description. Content never changes: add a version.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        one,
        artifacts::delete::<Spec, Write>,
        Doc::delete("deletePrompt", "Delete a prompt")
            .about(
                "Deletes the prompt with its versions. Refused while a binding names one of \
                 them.",
            )
            .errors(&[Code::VersionInUse]),
    );
    let all = "/api/tenants/{tenant_id}/prompts/{prompt_id}/versions";
    let one = "/api/tenants/{tenant_id}/prompts/{prompt_id}/versions/{version_id}";
    api.add(
        all,
        artifacts::create_version::<Spec, Write>,
        Doc::post("createPromptVersion", "Create a prompt version").about(
            "The template is compiled and may use declared variables only. Versions are \
                 immutable and numbered from 1.",
        ),
    );
    api.add(
        all,
        artifacts::list_versions::<Spec, Read>,
        Doc::get("listPromptVersions", "List prompt versions")
            .about("The versions of the prompt, newest first."),
    );
    api.add(
        one,
        artifacts::get_version::<Spec, Read>,
        Doc::get("getPromptVersion", "Get a prompt version")
            .about("The version with its content and digest."),
    );
    api.add(
        one,
        artifacts::delete_version::<Spec, Write>,
        Doc::delete("deletePromptVersion", "Delete a prompt version")
            .about("Its number is not used again. Refused while a binding names it.")
            .errors(&[Code::VersionInUse]),
    );
    api.add(
        "/api/tenants/{tenant_id}/prompts/{prompt_id}/versions/{version_id}/render",
        render,
        Doc::post("renderPrompt", "Render a prompt version")
            .about("Fills the variables in, as a session would, and keeps nothing."),
    );
}
