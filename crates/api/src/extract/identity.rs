//! Identification of the caller by the API key.

use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest, http::header::AUTHORIZATION};
use patchbay_domain::{
    ApiKeyId, Scope, SessionId, TenantId, api_key, limits::TenantLimits, states::TenantStatus,
};
use patchbay_persistence::{api_keys, sessions};
use patchbay_service::{
    Actor, Code, Error, Result,
    client_tokens::{ClientToken, is_client_token},
    settings::Secret,
    stored,
};
use subtle::{Choice, ConstantTimeEq as _};

use super::request::{RequestMeta, app_state};
use crate::app::App;

/// The holder of a valid key.
#[derive(Debug)]
pub struct Identity {
    /// The actor.
    pub actor: Actor,
    /// Scopes of the key.
    pub scopes: Vec<Scope>,
    /// The key's tenant; none for the operator's and the workers' key.
    pub tenant: Option<TenantId>,
    /// Whether the operator has suspended the tenant.
    pub is_suspended: bool,
    /// The tenant's limits.
    pub limits: TenantLimits,
    /// SHA-256 of the key.
    pub secret_hash: [u8; 32],
    /// The only session that the holder of a client token reads.
    pub session: Option<SessionId>,
}

/// Returns the key in the request.
pub fn bearer_token(request: &HttpRequest) -> Result<&str> {
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

fn invalid_key() -> Error {
    let detail = "The key is unknown, revoked or expired.";
    Error::new(Code::InvalidKey, detail)
}

impl Identity {
    /// Returns the holder of the request's key, which is looked up once per request.
    pub async fn of(request: &HttpRequest) -> Result<Arc<Self>> {
        if let Some(identity) = request.extensions().get::<Arc<Self>>() {
            return Ok(Arc::clone(identity));
        }
        let identity = Arc::new(identify(app_state(request)?, request).await?);
        request.extensions_mut().insert(Arc::clone(&identity));
        Ok(identity)
    }
}

async fn identify(app: &App, request: &HttpRequest) -> Result<Identity> {
    let token = bearer_token(request)?;
    let hash = api_key::hash(token);
    if is_client_token(token) {
        return client_identity(app, request, (token, hash)).await;
    }
    if let Some(identity) = installation_identity(app, hash) {
        return Ok(identity);
    }
    let id = api_key::parse(token).ok_or_else(invalid_key)?;
    let credential = fetch_credential(app, request, (id, &hash)).await?;
    let credential = credential.ok_or_else(invalid_key)?;
    let matches: bool = credential.secret_hash.ct_eq(&hash).into();
    if !matches || !credential.is_valid {
        return Err(invalid_key());
    }
    app.service.counters.record_key_use(id);
    app.rates.record_verified(id, hash);
    tenant_identity(id, hash, credential)
}

/// Returns the operator or worker if it is one of their keys.
fn installation_identity(app: &App, hash: [u8; 32]) -> Option<Identity> {
    let settings = &app.settings;
    let holders = [
        (&settings.operator_key, Actor::Operator, Scope::Operator),
        (&settings.worker_key, Actor::Worker, Scope::Worker),
    ];
    let (_, actor, scope) = holders
        .into_iter()
        .find(|(keys, ..)| is_one_of(keys, &hash))?;
    Some(Identity {
        actor,
        scopes: vec![scope],
        tenant: None,
        is_suspended: false,
        limits: TenantLimits::default(),
        secret_hash: hash,
        session: None,
    })
}

/// Compares with every key in constant time.
fn is_one_of(keys: &[Secret], hash: &[u8; 32]) -> bool {
    let matches = keys
        .iter()
        .map(|key| api_key::hash(key.reveal()).ct_eq(hash));
    matches.fold(Choice::from(0), |any, one| any | one).into()
}

/// Fetches a key. A valid key is accepted even from an address with many failures, after waiting its turn.
async fn fetch_credential(
    app: &App,
    request: &HttpRequest,
    (id, hash): (ApiKeyId, &[u8; 32]),
) -> Result<Option<api_keys::Credential>> {
    let _permit = match RequestMeta::of(request).address {
        Some(address) if !app.rates.was_recently_verified(id, hash) => {
            app.rates.lookup_permit(address).await
        }
        _ => None,
    };
    let mut connection = app.service.db.connection().await?;
    let now = app.service.clock.now();
    Ok(api_keys::credential(&mut connection, id, now).await?)
}

/// The holder of a valid key of a tenant.
fn tenant_identity(
    id: ApiKeyId,
    secret_hash: [u8; 32],
    credential: api_keys::Credential,
) -> Result<Identity> {
    let tenant = credential.tenant_id;
    let scopes = credential.scopes.iter();
    Ok(Identity {
        actor: Actor::Key(id),
        // Scopes that this version does not have grant nothing.
        scopes: scopes.filter_map(|scope| scope.parse().ok()).collect(),
        tenant: Some(tenant),
        is_suspended: credential.tenant_status != TenantStatus::Active,
        limits: stored::limits(tenant, credential.tenant_limits)?,
        secret_hash,
        session: None,
    })
}

/// The holder of a valid client token: the API key that has created it, as far as that key reads sessions.
async fn client_identity(
    app: &App,
    request: &HttpRequest,
    (token, hash): (&str, [u8; 32]),
) -> Result<Identity> {
    let (service, now) = (&app.service, app.service.clock.now());
    let secret = &service.settings.livekit.api_secret;
    let token = ClientToken::verify(token, secret, now).ok_or_else(invalid_client_token)?;
    if !is_from(request, &token.origin) {
        let detail = "The client token was created for pages of another origin.";
        return Err(Error::new(Code::InvalidKey, detail));
    }
    let mut tx = service.db.begin(token.tenant_id).await?;
    let credential = api_keys::credential(&mut tx, token.key_id, now).await?;
    let states = sessions::states(&mut tx, &[token.session_id]).await?;
    tx.finish();
    let state = states.get(&token.session_id);
    let is_over = state.is_none_or(|state| state.is_terminal());
    let credential = credential
        .filter(|key| !is_over && key.is_valid && key.tenant_id == token.tenant_id)
        .ok_or_else(invalid_client_token)?;
    let mut identity = tenant_identity(token.key_id, hash, credential)?;
    identity
        .scopes
        .retain(|scope| *scope == Scope::SessionsRead);
    identity.session = Some(token.session_id);
    Ok(identity)
}

fn invalid_client_token() -> Error {
    let detail =
        "The client token is wrong or has expired, its session is over, or its API key is revoked.";
    Error::new(Code::InvalidKey, detail)
}

/// Whether a request comes from a page of this origin. A browser names the origin, unless the page and the service
/// have the same one.
fn is_from(request: &HttpRequest, origin: &str) -> bool {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    match header("origin") {
        Some(given) => given == origin,
        None => {
            let host = origin.split_once("://").map(|(_, host)| host);
            header("sec-fetch-site") == Some("same-origin") && host == header("host")
        }
    }
}
