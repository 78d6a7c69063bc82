//! Who calls, decided from the key alone and before the body is read.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web,
};
use futures_util::future::LocalBoxFuture;
use patchbay_domain::{
    ApiKeyId, Scope, TenantId, api_key,
    limits::{Class, TenantLimits},
};
use patchbay_persistence::{TenantTx, api_keys};
use serde_json::json;
use subtle::{Choice, ConstantTimeEq as _};

use super::{RequestMeta, scopes::Permission};
use crate::{
    app::App,
    audit::{self, Change},
    error::{ApiError, Code, Result},
    openapi::{Describe, Operation},
    rates,
    settings::Secret,
    stored,
};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The operator of the installation.
    Operator,
    /// A worker with the installation's worker key.
    Worker,
    /// A tenant's API key.
    Key(ApiKeyId),
    /// The service itself, in the background.
    System,
}

impl Actor {
    /// The kind in the audit trail.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Worker => "worker",
            Self::Key(_) => "api_key",
            Self::System => "system",
        }
    }

    /// The id in the audit trail: the key's, or the kind again.
    pub fn id(&self) -> String {
        match self {
            Self::Key(id) => id.to_string(),
            other => other.kind().to_owned(),
        }
    }
}

/// How long a key waits for its refusal when it has just been refused.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// A caller who is known, may see the path's tenant and holds one of the scopes of `P`.
///
/// It comes first in every handler: permission is visible in the type, and the order of the
/// answers is fixed: 401, another tenant's path 404, suspended 403, scope 403, then the body.
pub struct Caller<P> {
    /// The service's state.
    pub app: Arc<App>,
    /// Who it is.
    pub actor: Actor,
    /// The request.
    pub request: RequestMeta,
    /// The scopes of the key.
    pub scopes: Vec<Scope>,
    /// The key's tenant; none for the installation's own keys.
    pub key_tenant: Option<TenantId>,
    path_tenant: Option<TenantId>,
    suspended: bool,
    permission: PhantomData<P>,
}

struct Identity {
    actor: Actor,
    scopes: Vec<Scope>,
    tenant: Option<TenantId>,
    suspended: bool,
    limits: TenantLimits,
    secret_hash: [u8; 32],
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = request
                .app_data::<web::Data<App>>()
                .map(|data| Arc::clone(data))
                .ok_or_else(|| ApiError::internal("no state"))?;
            let class = class(&request);
            let identity = match identify(&app, &request, class).await {
                Err(error) if error.is(Code::InvalidKey) => {
                    return Err(limit_failure(&app, &request, error));
                }
                identity => identity?,
            };
            limit(&app, &request, &identity, class)?;
            admit::<P>(app, &request, identity)
        })
    }
}

/// Counts the request; the installation's own keys are not limited.
fn limit(app: &App, request: &HttpRequest, identity: &Identity, class: Class) -> Result<()> {
    let (Actor::Key(key), Some(tenant)) = (&identity.actor, identity.tenant) else {
        return Ok(());
    };
    let (state, outcome) = app.rates.admit(*key, tenant, &identity.limits, class);
    app.rates
        .note_refusal(*key, identity.secret_hash, class, &state);
    request.extensions_mut().insert(state);
    outcome
}

fn class(request: &HttpRequest) -> Class {
    let pattern = request.match_pattern().unwrap_or_default();
    rates::class(request.method(), &pattern)
}

/// The error of a failed authentication, or 429 where its address has failed too often.
fn limit_failure(app: &App, request: &HttpRequest, error: ApiError) -> ApiError {
    let Some(address) = RequestMeta::of(request).address else {
        return error;
    };
    let (state, outcome) = app.rates.fail(address);
    request.extensions_mut().insert(state);
    outcome.err().unwrap_or(error)
}

fn admit<P: Permission>(
    app: Arc<App>,
    request: &HttpRequest,
    identity: Identity,
) -> Result<Caller<P>> {
    let Identity {
        actor,
        scopes,
        tenant: key_tenant,
        suspended,
        limits: _,
        secret_hash: _,
    } = identity;
    let path_tenant = match request.match_info().get("tenant_id") {
        Some(text) => Some(text.parse().map_err(|_| ApiError::not_found())?),
        None => None,
    };
    if let (Some(path), Some(key)) = (path_tenant, key_tenant)
        && path != key
    {
        return Err(ApiError::not_found());
    }
    if let Some(tenant) = path_tenant {
        tracing::Span::current().record("tenant_id", tracing::field::display(tenant));
    }
    let admitted: Vec<_> = P::ANY_OF
        .iter()
        .filter(|scope| scopes.contains(scope))
        .collect();
    let as_worker = admitted.contains(&&Scope::Worker);
    if suspended && !as_worker {
        return Err(ApiError::new(
            Code::TenantSuspended,
            "The operator has suspended this tenant.",
        ));
    }
    if admitted.is_empty() {
        let names: Vec<_> = P::ANY_OF.iter().map(|scope| format!("`{scope}`")).collect();
        let detail = format!("This needs the scope {}.", names.join(" or "));
        return Err(ApiError::new(Code::MissingScope, detail));
    }
    Ok(Caller {
        request: RequestMeta::of(request),
        app,
        actor,
        scopes,
        key_tenant,
        path_tenant,
        suspended,
        permission: PhantomData,
    })
}

fn denied(detail: &str) -> ApiError {
    ApiError::new(Code::InvalidKey, detail)
}

fn unknown() -> ApiError {
    denied("The key is unknown, revoked or expired.")
}

/// The holder of the key in the request.
async fn identify(app: &App, request: &HttpRequest, class: Class) -> Result<Identity> {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then_some(token.trim())
        })
        .ok_or_else(|| denied("Send the header `Authorization: Bearer <key>`."))?;
    let hash = api_key::hash(token);
    if let Some(identity) = of_installation(app, hash) {
        return Ok(identity);
    }
    let id = api_key::parse(token).ok_or_else(unknown)?;
    if let Some((state, error)) = app.rates.still_refused(id, &hash, class) {
        request.extensions_mut().insert(state);
        // Whoever does not wait is made to: a flood over few connections slows down by itself.
        actix_web::rt::time::sleep(REFUSAL_PAUSE).await;
        return Err(error);
    }
    let credential = look_up(app, request, (id, &hash)).await?;
    let credential = credential.ok_or_else(unknown)?;
    let matches: bool = credential.secret_hash.ct_eq(&hash).into();
    if !matches || !credential.is_valid {
        return Err(unknown());
    }
    app.note_key_use(id);
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
        suspended: false,
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

/// What is known of a key. It is asked for whatever its address did before.
async fn look_up(
    app: &App,
    request: &HttpRequest,
    (id, hash): (ApiKeyId, &[u8; 32]),
) -> Result<Option<api_keys::Credential>> {
    let _turn = match RequestMeta::of(request).address {
        Some(address) if !app.rates.was_right(id, hash) => app.rates.turn(address).await,
        _ => None,
    };
    let mut connection = app.db.connection().await?;
    Ok(api_keys::credential(&mut connection, id, app.clock.now()).await?)
}

/// The holder of a tenant's key that is right.
fn of_tenant(
    id: ApiKeyId,
    secret_hash: [u8; 32],
    credential: api_keys::Credential,
) -> Result<Identity> {
    let tenant = credential.tenant_id;
    Ok(Identity {
        actor: Actor::Key(id),
        // A scope of another version grants nothing here.
        scopes: credential
            .scopes
            .iter()
            .filter_map(|s| s.parse().ok())
            .collect(),
        tenant: Some(tenant),
        suspended: credential.tenant_status != "active",
        limits: stored::limits(tenant, credential.tenant_limits)?,
        secret_hash,
    })
}

impl<P> Caller<P> {
    /// The tenant of the path. A handler without one has no business asking.
    pub fn tenant(&self) -> Result<TenantId> {
        self.path_tenant
            .or(self.key_tenant)
            .ok_or_else(|| ApiError::internal("the route has no tenant"))
    }

    /// The tenant in the path, if there is one.
    pub const fn path_tenant(&self) -> Option<TenantId> {
        self.path_tenant
    }

    /// Whether the caller is the operator.
    pub fn is_operator(&self) -> bool {
        self.actor == Actor::Operator
    }

    /// A suspended tenant's workers may finish its live sessions, and nothing else.
    pub fn require_live_if_suspended(&self, live: bool) -> Result<()> {
        if self.suspended && !live {
            return Err(ApiError::new(
                Code::TenantSuspended,
                "The operator has suspended this tenant.",
            ));
        }
        Ok(())
    }

    /// A transaction to read in; [`TenantTx::finish`] it.
    pub async fn read(&self) -> Result<TenantTx> {
        Ok(self.app.db.begin(self.tenant()?).await?)
    }

    /// Makes a change: `work` and its audit events in one transaction of the path's tenant.
    pub async fn change<T>(
        &self,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<T>>,
    ) -> Result<T> {
        self.change_in(self.tenant()?, work).await
    }

    /// Makes a change in a tenant that is not the path's.
    pub async fn change_in<T>(
        &self,
        tenant: TenantId,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<T>>,
    ) -> Result<T> {
        let mut tx = self.app.db.begin(tenant).await?;
        let value = self.apply(&mut tx, work).await?;
        tx.commit().await?;
        Ok(value)
    }

    /// Does `work` in a transaction, and writes down what it did. The one function through which
    /// every creating, changing and starting request goes.
    pub async fn apply<T>(
        &self,
        tx: &mut TenantTx,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<T>>,
    ) -> Result<T> {
        let Change { value, events } = work(tx).await?;
        let (clock, request) = (&self.app.clock, Some(&self.request));
        for event in events {
            audit::record(tx, clock, &self.actor, request, event).await?;
        }
        Ok(value)
    }
}

impl<P: Permission> Describe for Caller<P> {
    fn describe(operation: &mut Operation) {
        let scopes: Vec<_> = P::ANY_OF.iter().map(|scope| scope.as_str()).collect();
        operation.set("security", json!([{ "api_key": [] }]));
        operation.set("x-scopes", json!(scopes));
        operation.error(Code::InvalidKey);
        operation.error(Code::MissingScope);
        operation.error(Code::RateLimited);
        if !P::ANY_OF.contains(&Scope::Operator) || P::ANY_OF.len() > 1 {
            operation.error(Code::TenantSuspended);
        }
    }
}
