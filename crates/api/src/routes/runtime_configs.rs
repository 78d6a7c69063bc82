//! Routes of runtime configs.

use patchbay_domain::{ArtifactId, Invalid, TenantId, runtime::RuntimeSpec as Spec};

use super::artifacts::{self, CreateVersion, Naming, Version};
use crate::{
    extract::{
        Caller, IdempotencyKey, Json, Path,
        scopes::{RuntimeConfigsRead as Read, RuntimeConfigsWrite as Write},
    },
    openapi::{Doc, Tag},
    response::Created,
    router::Api,
};
use patchbay_service::{Error, Result, idempotency::Idempotent};

async fn create_version(
    caller: Caller<Write>,
    path: Path<(TenantId, ArtifactId)>,
    body: Json<CreateVersion<Spec>>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<Version<Spec>>>> {
    let app = caller.app.clone();
    let admit = async |_: &mut _, spec: &Spec| {
        let allowed = |url: &str| {
            let without_slash = |url: &str| url.trim_end_matches('/').to_owned();
            app.settings
                .provider_urls
                .iter()
                .any(|allowed| without_slash(allowed) == without_slash(url))
        };
        let rejected = spec
            .base_urls()
            .into_iter()
            .filter(|(_, url)| !allowed(url));
        let message = "the operator does not allow this base URL (PATCHBAY_PROVIDER_URLS)";
        let violations: Vec<_> = rejected
            .map(|(pointer, _)| Invalid::new("base_url_not_allowed", message).at(pointer))
            .collect();
        match violations.is_empty() {
            true => Ok(()),
            false => Err(Error::invalid_within("/spec", violations)),
        }
    };
    artifacts::create_version_if(caller, path, body, key, admit).await
}

const NAMING: Naming = Naming {
    path: "runtime-configs",
    parameter: "config_id",
    id: "RuntimeConfig",
    noun: "runtime config",
};

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::RuntimeConfigs);
    artifacts::routes::<Spec, Read, Write>(&mut api, &NAMING);
    api.add(
        &NAMING.versions(),
        create_version,
        Doc::post(
            "createRuntimeConfigVersion",
            "Create a runtime config version",
        )
        .about(
            "Adds an immutable version, numbered from 1. A `kind` that no worker supports is \
             rejected with `not_supported`, and a `base_url` that the operator does not allow with \
             `base_url_not_allowed`.",
        ),
    );
}
