//! What prompts, tools and runtime configs share: one mechanism, told apart by the type of the spec.

mod dto;
mod handlers;

pub use dto::{CreateVersion, Version};
pub(super) use handlers::{create_version, create_version_if};
use patchbay_domain::artifact::Spec;
use patchbay_service::Code;
use utoipa::ToSchema;

use crate::{extract::scopes::Permission, openapi::Doc, router::Group};

/// How a kind of artifact is called.
pub struct Naming {
    /// In paths: `prompts`.
    pub path: &'static str,
    /// Its parameter in paths: `prompt_id`.
    pub parameter: &'static str,
    /// In operation ids: `Prompt`.
    pub id: &'static str,
    /// In texts: `prompt`.
    pub noun: &'static str,
}

impl Naming {
    /// Path of all of them.
    pub fn all(&self) -> String {
        format!("/api/tenants/{{tenant_id}}/{}", self.path)
    }

    /// Path of one.
    pub fn one(&self) -> String {
        format!("{}/{{{}}}", self.all(), self.parameter)
    }

    /// Path of the versions of one.
    pub fn versions(&self) -> String {
        format!("{}/versions", self.one())
    }

    /// Path of one version.
    pub fn version(&self) -> String {
        format!("{}/{{version_id}}", self.versions())
    }
}

/// Adds what is alike for all kinds: everything but creating versions.
pub fn routes<S, R, W>(api: &mut Group<'_>, naming: &Naming)
where
    S: Spec + ToSchema,
    R: Permission,
    W: Permission,
{
    artifact_routes::<S, R, W>(api, naming);
    version_routes::<S, R, W>(api, naming);
}

fn artifact_routes<S, R, W>(api: &mut Group<'_>, naming: &Naming)
where
    S: Spec + ToSchema,
    R: Permission,
    W: Permission,
{
    let Naming { id, noun, .. } = naming;
    let (all, one) = (naming.all(), naming.one());
    api.add(
        &all,
        handlers::create::<S, W>,
        Doc::post(format!("create{id}"), format!("Create a {noun}"))
            .about("A name for versions to come; add the first one next.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        &all,
        handlers::list::<S, R>,
        Doc::get(format!("list{id}s"), format!("List {noun}s"))
            .about(format!("The tenant's {noun}s, newest first.")),
    );
    api.add(
        &one,
        handlers::get::<S, R>,
        Doc::get(format!("get{id}"), format!("Get a {noun}"))
            .about(format!("The {noun} with the number of its newest version.")),
    );
    api.add(
        &one,
        handlers::patch::<S, W>,
        Doc::patch(format!("update{id}"), format!("Update a {noun}"))
            .about("Changes name or description. Content never changes: add a version.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        &one,
        handlers::delete::<S, W>,
        Doc::delete(format!("delete{id}"), format!("Delete a {noun}"))
            .about(format!(
                "Deletes the {noun} with its versions. Refused while a binding names one of them."
            ))
            .errors(&[Code::VersionInUse]),
    );
}

fn version_routes<S, R, W>(api: &mut Group<'_>, naming: &Naming)
where
    S: Spec + ToSchema,
    R: Permission,
    W: Permission,
{
    let Naming { id, noun, .. } = naming;
    let (all, one) = (naming.versions(), naming.version());
    api.add(
        &all,
        handlers::list_versions::<S, R>,
        Doc::get(format!("list{id}Versions"), format!("List {noun} versions"))
            .about(format!("The versions of the {noun}, newest first.")),
    );
    api.add(
        &one,
        handlers::get_version::<S, R>,
        Doc::get(format!("get{id}Version"), format!("Get a {noun} version"))
            .about("The version with its content and digest."),
    );
    api.add(
        &one,
        handlers::delete_version::<S, W>,
        Doc::delete(
            format!("delete{id}Version"),
            format!("Delete a {noun} version"),
        )
        .about("Its number is not used again. Refused while a binding names it.")
        .errors(&[Code::VersionInUse]),
    );
}
