//! Runtime configs: how an agent hears, thinks and speaks.

use actix_web::http::Method;
use patchbay_domain::{ArtifactId, Invalid, TenantId, runtime::RuntimeSpec as Spec};

use super::artifacts::{self, CreateVersion, Version};
use crate::{
    answer::Created,
    error::{ApiError, Code, Result},
    extract::{
        Caller, IdempotencyKey, Json, Path,
        scopes::{RuntimeConfigsRead as Read, RuntimeConfigsWrite as Write},
    },
    once::Once,
    openapi::{Api, Doc, Tag},
};

async fn create_version(
    caller: Caller<Write>,
    path: Path<(TenantId, ArtifactId)>,
    body: Json<CreateVersion<Spec>>,
    key: IdempotencyKey,
) -> Result<Once<Created<Version<Spec>>>> {
    let app = caller.app.clone();
    let admit = async |_: &mut _, spec: &Spec| {
        let allowed = |url: &str| {
            let plain = |url: &str| url.trim_end_matches('/').to_owned();
            app.settings
                .provider_urls
                .iter()
                .any(|known| plain(known) == plain(url))
        };
        let refused = spec
            .base_urls()
            .into_iter()
            .filter(|(_, url)| !allowed(url));
        let words = "the operator allows other base URLs (PATCHBAY_PROVIDER_URLS)";
        let found: Vec<_> = refused
            .map(|(pointer, _)| Invalid::new("base_url_not_allowed", words).at(pointer))
            .collect();
        match found.is_empty() {
            true => Ok(()),
            false => Err(ApiError::invalid_within("/spec", found)),
        }
    };
    artifacts::create_version_if(caller, path, body, key, admit).await
}

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::RuntimeConfigs;
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
            summary: "Get a runtime config",
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
            summary: "Update a runtime config",
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
    api.route(Method::POST, all, create_version, Doc {
        id: "createRuntimeConfigVersion",
        tag,
        summary: "Create a runtime config version",
        description: "A kind that no worker executes yet is refused with `not_supported`, and a `base_url` that the operator does not allow with \
            `base_url_not_allowed`. Versions are immutable and numbered from 1.",
        errors: &[],
    });
    api.route(
        Method::GET,
        all,
        artifacts::list_versions::<Spec, Read>,
        Doc {
            id: "listRuntimeConfigVersions",
            tag,
            summary: "List runtime config versions",
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
            summary: "Get a runtime config version",
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
            summary: "Delete a runtime config version",
            description: "Its number is not used again. Refused while a binding names it.",
            errors: &[Code::VersionInUse],
        },
    );
}
