//! Runtime configs: how an agent hears, thinks and speaks.

use patchbay_domain::{ArtifactId, Invalid, TenantId, runtime::RuntimeSpec as Spec};

use super::artifacts::{self, CreateVersion, Naming, Version};
use crate::{
    answer::Created,
    extract::{
        Caller, IdempotencyKey, Json, Path,
        scopes::{RuntimeConfigsRead as Read, RuntimeConfigsWrite as Write},
    },
    openapi::{Doc, Tag},
    router::Api,
};
use patchbay_service::{Error, Result, idempotency::Once};

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
            "A kind that no worker executes yet is refused with `not_supported`, and a \
             `base_url` that the operator does not allow with `base_url_not_allowed`. \
             Versions are immutable and numbered from 1.",
        ),
    );
}
