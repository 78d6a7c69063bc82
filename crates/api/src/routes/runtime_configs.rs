//! Runtime configs: how an agent hears, thinks and speaks.

use patchbay_domain::{ArtifactId, Invalid, TenantId, runtime::RuntimeSpec as Spec};

use super::artifacts::{self, CreateVersion, Version};
use crate::{
    answer::Created,
    extract::{
        Caller, IdempotencyKey, Json, Path,
        scopes::{RuntimeConfigsRead as Read, RuntimeConfigsWrite as Write},
    },
    openapi::{Doc, Tag},
    router::Api,
};
use patchbay_service::{Code, Error, Result, idempotency::Once};

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
            false => Err(Error::invalid_within("/spec", found)),
        }
    };
    artifacts::create_version_if(caller, path, body, key, admit).await
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::RuntimeConfigs);
    let all = "/api/tenants/{tenant_id}/runtime-configs";
    let one = "/api/tenants/{tenant_id}/runtime-configs/{config_id}";
    api.add(
        all,
        artifacts::create::<Spec, Write>,
        Doc::post("createRuntimeConfig", "Create a runtime config")
            .about("A name for versions to come; add the first one next.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        all,
        artifacts::list::<Spec, Read>,
        Doc::get("listRuntimeConfigs", "List runtime configs")
            .about("The tenant's runtime configs, newest first."),
    );
    api.add(
        one,
        artifacts::get::<Spec, Read>,
        Doc::get("getRuntimeConfig", "Get a runtime config")
            .about("The runtime config with the number of its newest version."),
    );
    api.add(
        one,
        artifacts::patch::<Spec, Write>,
        Doc::patch("updateRuntimeConfig", "Update a runtime config")
            .about("Changes name or description. Content never changes: add a version.")
            .errors(&[Code::NameTaken]),
    );
    api.add(
        one,
        artifacts::delete::<Spec, Write>,
        Doc::delete("deleteRuntimeConfig", "Delete a runtime config")
            .about(
                "Deletes the runtime config with its versions. Refused while a binding names \
                 one of them.",
            )
            .errors(&[Code::VersionInUse]),
    );
    let all = "/api/tenants/{tenant_id}/runtime-configs/{config_id}/versions";
    let one = "/api/tenants/{tenant_id}/runtime-configs/{config_id}/versions/{version_id}";
    api.add(
        all,
        create_version,
        Doc::post(
            "createRuntimeConfigVersion",
            "Create a runtime config version",
        )
        .about(
            "A kind that no worker executes yet is refused with `not_supported`, and a \
                 `base_url` that the operator does not allow with `base_url_not_allowed`. \
                 Versions are immutable and numbered from 1.",
        ),
    );
    api.add(
        all,
        artifacts::list_versions::<Spec, Read>,
        Doc::get("listRuntimeConfigVersions", "List runtime config versions")
            .about("The versions of the runtime config, newest first."),
    );
    api.add(
        one,
        artifacts::get_version::<Spec, Read>,
        Doc::get("getRuntimeConfigVersion", "Get a runtime config version")
            .about("The version with its content and digest."),
    );
    api.add(
        one,
        artifacts::delete_version::<Spec, Write>,
        Doc::delete(
            "deleteRuntimeConfigVersion",
            "Delete a runtime config version",
        )
        .about("Its number is not used again. Refused while a binding names it.")
        .errors(&[Code::VersionInUse]),
    );
}
