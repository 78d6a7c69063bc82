//! Who a key is.

use patchbay_domain::{ApiKeyId, Scope, TenantId};
use patchbay_service::{Actor, Result};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::{Entity, Resource},
    extract::{Caller, scopes::Permission},
    openapi::{Doc, Tag},
    router::Api,
};

/// Every key there is.
enum Anybody {}
impl Permission for Anybody {
    const ANY_OF: &'static [Scope] = &Scope::ALL;
}

/// The holder of the key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "api_key",
    "tenant_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
    "key_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12",
    "scopes": ["agents:read", "sessions:write"]
}))]
pub struct Whoami {
    /// `api_key`, `operator` or `worker`.
    #[schema(max_length = 20)]
    kind: String,
    /// The key's tenant; null for the installation's own keys.
    tenant_id: Option<TenantId>,
    /// Id of the key; null for the installation's own keys.
    key_id: Option<ApiKeyId>,
    /// What the key may do.
    #[schema(max_items = 100)]
    scopes: Vec<Scope>,
}

impl Resource for Whoami {}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::ApiKeys);
    api.add(
        "/api/whoami",
        whoami,
        Doc::get("getWhoami", "Get the identity of the key")
            .about("Kind, tenant and scopes of the key in the request."),
    );
}

async fn whoami(caller: Caller<Anybody>) -> Result<Entity<Whoami>> {
    let key_id = match caller.origin.actor {
        Actor::Key(id) => Some(id),
        _ => None,
    };
    Ok(Entity(Whoami {
        kind: caller.origin.actor.kind().to_owned(),
        tenant_id: caller.key_tenant,
        key_id,
        scopes: caller.scopes,
    }))
}
