//! Who calls, from the key alone.

use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest, http::header::AUTHORIZATION};
use patchbay_domain::{
    ApiKeyId, Scope, TenantId, api_key, limits::TenantLimits, states::TenantStatus,
};
use patchbay_persistence::api_keys;
use patchbay_service::{Actor, Code, Error, Result, settings::Secret, stored};
use subtle::{Choice, ConstantTimeEq as _};

use super::request::{RequestMeta, app_of};
use crate::app::App;

/// The holder of a key that is right.
#[derive(Debug)]
pub struct Identity {
    /// Who it is.
    pub actor: Actor,
    /// What the key allows.
    pub scopes: Vec<Scope>,
    /// The key's tenant; none for the installation's own keys.
    pub tenant: Option<TenantId>,
    /// Whether the operator has suspended the tenant.
    pub is_suspended: bool,
    /// The tenant's limits.
    pub limits: TenantLimits,
    /// SHA-256 of the key.
    pub secret_hash: [u8; 32],
}

/// The key in the request.
pub fn token_of(request: &HttpRequest) -> Result<&str> {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then_some(token.trim())
        });
    let detail = "Send the header `Authorization: Bearer <key>`.";
    token.ok_or_else(|| Error::new(Code::InvalidKey, detail))
}

fn unknown() -> Error {
    let detail = "The key is unknown, revoked or expired.";
    Error::new(Code::InvalidKey, detail)
}

impl Identity {
    /// The holder of the request's key; looked up once in a request.
    pub async fn of(request: &HttpRequest) -> Result<Arc<Self>> {
        if let Some(known) = request.extensions().get::<Arc<Self>>() {
            return Ok(Arc::clone(known));
        }
        let identity = Arc::new(identify(app_of(request)?, request).await?);
        request.extensions_mut().insert(Arc::clone(&identity));
        Ok(identity)
    }
}

async fn identify(app: &App, request: &HttpRequest) -> Result<Identity> {
    let token = token_of(request)?;
    let hash = api_key::hash(token);
    if let Some(identity) = of_installation(app, hash) {
        return Ok(identity);
    }
    let id = api_key::parse(token).ok_or_else(unknown)?;
    let credential = look_up(app, request, (id, &hash)).await?;
    let credential = credential.ok_or_else(unknown)?;
    let matches: bool = credential.secret_hash.ct_eq(&hash).into();
    if !matches || !credential.is_valid {
        return Err(unknown());
    }
    app.service.counters.note_key(id);
    app.rates.note_right(id, hash);
    of_tenant(id, hash, credential)
}

/// The installation's own keys, of which there may be two each.
fn of_installation(app: &App, hash: [u8; 32]) -> Option<Identity> {
    let settings = &app.settings;
    let own = [
        (&settings.operator_key, Actor::Operator, Scope::Operator),
        (&settings.worker_key, Actor::Worker, Scope::Worker),
    ];
    let (_, actor, scope) = own.into_iter().find(|(keys, ..)| is_one_of(keys, &hash))?;
    Some(Identity {
        actor,
        scopes: vec![scope],
        tenant: None,
        is_suspended: false,
        limits: TenantLimits::default(),
        secret_hash: hash,
    })
}

/// Compares with every key, in the same time whichever matches.
fn is_one_of(keys: &[Secret], hash: &[u8; 32]) -> bool {
    let matches = keys
        .iter()
        .map(|key| api_key::hash(key.reveal()).ct_eq(hash));
    matches.fold(Choice::from(0), |any, one| any | one).into()
}

/// What is known of a key. It is looked up whatever its address did before.
async fn look_up(
    app: &App,
    request: &HttpRequest,
    (id, hash): (ApiKeyId, &[u8; 32]),
) -> Result<Option<api_keys::Credential>> {
    let _turn = match RequestMeta::of(request).address {
        Some(address) if !app.rates.was_right(id, hash) => app.rates.turn(address).await,
        _ => None,
    };
    let mut connection = app.service.db.connection().await?;
    let now = app.service.clock.now();
    Ok(api_keys::credential(&mut connection, id, now).await?)
}

/// The holder of a tenant's key that is right.
fn of_tenant(
    id: ApiKeyId,
    secret_hash: [u8; 32],
    credential: api_keys::Credential,
) -> Result<Identity> {
    let tenant = credential.tenant_id;
    let scopes = credential.scopes.iter();
    Ok(Identity {
        actor: Actor::Key(id),
        // A scope of another version grants nothing here.
        scopes: scopes.filter_map(|scope| scope.parse().ok()).collect(),
        tenant: Some(tenant),
        is_suspended: credential.tenant_status != TenantStatus::Active,
        limits: stored::limits(tenant, credential.tenant_limits)?,
        secret_hash,
    })
}
