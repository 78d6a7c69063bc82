//! The identity of the API key of a request.

use patchbay_domain::{ApiKeyId, Scope, TenantId, states::ActorKind};
use patchbay_service::{Actor, Result};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    extract::{Caller, scopes::Permission},
    openapi::{Doc, Tag},
    response::{Entity, Resource},
    router::Api,
};

/// Permission that every key has.
enum AnyKey {}
impl Permission for AnyKey {
    const ANY_OF: &'static [Scope] = &Scope::ALL;
}

/// Identity of an API key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "api_key",
    "tenant_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
    "key_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f12",
    "scopes": ["agents:read", "sessions:write"]
}))]
pub struct Whoami {
    /// Kind of the key.
    kind: ActorKind,
    /// Id of the tenant; null for the operator and worker keys of the installation.
    tenant_id: Option<TenantId>,
    /// Id of the key; null for the operator and worker keys of the installation.
    key_id: Option<ApiKeyId>,
    /// Scopes of the key.
    #[schema(max_items = 100)]
    scopes: Vec<Scope>,
}

impl Resource for Whoami {}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::ApiKeys);
    api.add(
        "/api/whoami",
        whoami,
        Doc::get("getWhoami", "Get the identity of the key").about(
            "Returns the kind, tenant and scopes of the API key that is used for the request.",
        ),
    );
}

async fn whoami(caller: Caller<AnyKey>) -> Result<Entity<Whoami>> {
    let key_id = match caller.origin.actor {
        Actor::Key(id) => Some(id),
        _ => None,
    };
    Ok(Entity(Whoami {
        kind: caller.origin.actor.kind(),
        tenant_id: caller.key_tenant,
        key_id,
        scopes: caller.scopes,
    }))
}
