//! Runtime configs: how an agent hears, thinks and speaks.

use actix_web::http::Method;
use patchbay_domain::runtime::RuntimeSpec as Spec;

use super::artifacts;
use crate::{
    error::Code,
    extract::scopes::{RuntimeConfigsRead as Read, RuntimeConfigsWrite as Write},
    openapi::{Api, Doc},
};

pub(super) fn routes(api: &mut Api) {
    let tag = "Runtime configs";
    let all = "/api/tenants/{tenant_id}/runtime-configs";
    let one = "/api/tenants/{tenant_id}/runtime-configs/{config_id}";
    api.route(
        Method::POST,
        all,
        artifacts::create::<Spec, Write>,
        Doc {
            id: "createRuntimeConfig",
            tag,
            summary: "Create a runtime config",
            description: "A name for versions to come; add the first one next.",
            errors: &[Code::NameTaken],
        },
    );
    api.route(
        Method::GET,
        all,
        artifacts::list::<Spec, Read>,
        Doc {
            id: "listRuntimeConfigs",
            tag,
            summary: "List runtime configs",
            description: "The tenant's runtime configs, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        artifacts::get::<Spec, Read>,
        Doc {
            id: "getRuntimeConfig",
            tag,
            summary: "Read a runtime config",
            description: "The runtime config with the number of its newest version.",
            errors: &[],
        },
    );
    api.route(
        Method::PATCH,
        one,
        artifacts::patch::<Spec, Write>,
        Doc {
            id: "updateRuntimeConfig",
            tag,
            summary: "Rename a runtime config",
            description: "Changes name or description. Content never changes: add a version.",
            errors: &[Code::NameTaken],
        },
    );
    api.route(Method::DELETE, one, artifacts::delete::<Spec, Write>, Doc {
        id: "deleteRuntimeConfig",
        tag,
        summary: "Delete a runtime config",
        description: "Deletes the runtime config with its versions. Refused while a binding names one of them.",
        errors: &[Code::VersionInUse],
    });
    let all = "/api/tenants/{tenant_id}/runtime-configs/{config_id}/versions";
    let one = "/api/tenants/{tenant_id}/runtime-configs/{config_id}/versions/{version_id}";
    api.route(Method::POST, all, artifacts::create_version::<Spec, Write>, Doc {
        id: "createRuntimeConfigVersion",
        tag,
        summary: "Add a version",
        description: "A kind or field that no worker executes yet is refused with `not_supported`. Versions are immutable and numbered from 1.",
        errors: &[],
    });
    api.route(
        Method::GET,
        all,
        artifacts::list_versions::<Spec, Read>,
        Doc {
            id: "listRuntimeConfigVersions",
            tag,
            summary: "List versions",
            description: "The versions of the runtime config, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        artifacts::get_version::<Spec, Read>,
        Doc {
            id: "getRuntimeConfigVersion",
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
            id: "deleteRuntimeConfigVersion",
            tag,
            summary: "Delete a version",
            description: "Its number is not used again. Refused while a binding names it.",
            errors: &[Code::VersionInUse],
        },
    );
}
