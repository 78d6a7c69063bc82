//! Routes of prompts.

use patchbay_domain::{
    ArtifactId, TenantId, VersionId,
    artifact::ArtifactKind,
    prompt::{PromptSpec as Spec, Variables},
    template::Budget,
};
use patchbay_persistence::artifacts as rows;
use patchbay_service::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::artifacts::{self, Naming};
use crate::{
    extract::{
        Caller, Json, Path,
        scopes::{PromptsRead as Read, PromptsWrite as Write},
    },
    openapi::{Doc, Tag},
    response::{Entity, Resource},
    router::Api,
};

/// Request to render a prompt version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"variables": {"company": "Acme"}}))]
pub struct RenderPrompt {
    /// Values of the prompt's variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Variables,
}

/// A rendered prompt version.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"prompt": "You help callers of Acme.", "greeting": "Welcome to Acme!"}))]
pub struct RenderedPrompt {
    /// Rendered prompt.
    #[schema(max_length = 262144)]
    prompt: String,
    /// Rendered greeting; null if the version has none.
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

const NAMING: Naming = Naming {
    path: "prompts",
    parameter: "prompt_id",
    id: "Prompt",
    noun: "prompt",
};

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Prompts);
    artifacts::routes::<Spec, Read, Write>(&mut api, &NAMING);
    api.add(
        &NAMING.versions(),
        artifacts::create_version::<Spec, Write>,
        Doc::post("createPromptVersion", "Create a prompt version").about(
            "Adds an immutable version, numbered from 1. The template is compiled and may only use \
             declared variables.",
        ),
    );
    api.add(
        &format!("{}/render", NAMING.version()),
        render,
        Doc::post("renderPrompt", "Render a prompt version").about(
            "Renders the prompt and its greeting with the given variables, as a session would. \
             Nothing is stored.",
        ),
    );
}
