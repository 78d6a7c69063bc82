//! Prompts: what an agent is told.

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
            "The template is compiled and may use declared variables only. Versions are \
             immutable and numbered from 1.",
        ),
    );
    api.add(
        &format!("{}/render", NAMING.version()),
        render,
        Doc::post("renderPrompt", "Render a prompt version")
            .about("Fills the variables in, as a session would, and keeps nothing."),
    );
}
