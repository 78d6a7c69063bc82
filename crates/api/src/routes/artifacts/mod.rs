//! Shared implementation of prompts, tools and runtime configs, generic over the type of their spec.

mod dto;
mod handlers;

pub use dto::{CreateVersion, Version};
pub(super) use handlers::{create_version, create_version_if};
use patchbay_domain::artifact::Spec;
use patchbay_service::Code;
use utoipa::ToSchema;

use crate::{extract::scopes::Permission, openapi::Doc, router::Group};

/// Names of a kind of artifact.
pub struct Naming {
    /// Path segment, such as `prompts`.
    pub path: &'static str,
    /// Path parameter, such as `prompt_id`.
    pub parameter: &'static str,
    /// Part of operation ids, such as `Prompt`.
    pub id: &'static str,
    /// Noun in descriptions, such as `prompt`.
    pub noun: &'static str,
}

impl Naming {
    /// Returns the path of the collection.
    pub fn all(&self) -> String {
        format!("/api/tenants/{{tenant_id}}/{}", self.path)
    }

    /// Returns the path of one artifact.
    pub fn one(&self) -> String {
        format!("{}/{{{}}}", self.all(), self.parameter)
    }

    /// Returns the path of the bindings that use one artifact.
    pub fn usage(&self) -> String {
        format!("{}/usage", self.one())
    }

    /// Returns the path of the versions of one artifact.
    pub fn versions(&self) -> String {
        format!("{}/versions", self.one())
    }

    /// Returns the path of one version.
    pub fn version(&self) -> String {
        format!("{}/{{version_id}}", self.versions())
    }
}

/// Adds the routes that all kinds share: all except the creation of versions.
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
            .about(format!(
                "Creates the {noun} without content. Add a version next."
            ))
            .errors(&[Code::NameTaken]),
    );
    api.add(
        &all,
        handlers::list::<S, R>,
        Doc::get(format!("list{id}s"), format!("List {noun}s"))
            .about(format!("Returns the {noun}s of the tenant, newest first.")),
    );
    api.add(
        &one,
        handlers::get::<S, R>,
        Doc::get(format!("get{id}"), format!("Get a {noun}")).about(format!(
            "Returns the {noun} with the number of its latest version."
        )),
    );
    api.add(
        &naming.usage(),
        handlers::list_usage::<S, R>,
        Doc::get(format!("list{id}Usage"), format!("List usage of a {noun}")).about(format!(
            "Returns the bindings that pin a version of the {noun}, newest first."
        )),
    );
    api.add(
        &one,
        handlers::patch::<S, W>,
        Doc::patch(format!("update{id}"), format!("Update a {noun}"))
            .about("Changes the name or description. To change the content, add a version.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        &one,
        handlers::delete::<S, W>,
        Doc::delete(format!("delete{id}"), format!("Delete a {noun}"))
            .about(format!(
                "Deletes the {noun} with its versions. Fails while a binding uses one of them."
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
            .about(format!("Returns the versions of the {noun}, newest first.")),
    );
    api.add(
        &one,
        handlers::get_version::<S, R>,
        Doc::get(format!("get{id}Version"), format!("Get a {noun} version"))
            .about("Returns the version with its content and digest."),
    );
    api.add(
        &one,
        handlers::delete_version::<S, W>,
        Doc::delete(
            format!("delete{id}Version"),
            format!("Delete a {noun} version"),
        )
        .about(
            "Deletes the version. Its number is not reused. Fails while a binding uses the \
             version.",
        )
        .errors(&[Code::VersionInUse]),
    );
}
