//! Authentication and authorisation, before the body is read.

use std::{marker::PhantomData, sync::Arc, time::Instant};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;
use patchbay_domain::{Scope, SessionId, TenantId};
use patchbay_persistence::TenantTx;
use patchbay_service::{
    Actor, Code, Error, Origin, Result, Service, UnitOfWork, audit::Change, compute::ComputePermit,
};
use serde_json::json;

use super::{
    identity::Identity,
    request::{RequestMeta, app_state, path_tenant},
    scopes::Permission,
};
use crate::{
    app::App,
    error::ApiError,
    openapi::{Describe, Operation},
    routing::Match,
};

/// An authenticated caller with access to the path's tenant and one of the scopes of `P`.
///
/// It is the first argument of every handler, so the required permission is part of the signature and the order
/// of errors is fixed: 401, 404 for another tenant's path, 403 if suspended, 403 without the scope, then errors
/// of the body.
pub struct Caller<P> {
    /// The server's state.
    pub app: Arc<App>,
    /// The service.
    pub service: Arc<Service>,
    /// The actor and the request.
    pub origin: Origin,
    /// The scopes of the key.
    pub scopes: Vec<Scope>,
    /// The key's tenant; none for the operator's and the workers' key.
    pub key_tenant: Option<TenantId>,
    /// Whether it is a web page with a client token.
    pub is_client: bool,
    path_tenant: Option<TenantId>,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let identity = Identity::of(&request).await?;
            Ok(authorize::<P>(&request, &identity)?)
        })
    }
}

fn authorize<P: Permission>(request: &HttpRequest, identity: &Identity) -> Result<Caller<P>> {
    let path_tenant = path_tenant(request)?;
    if let (Some(path), Some(key)) = (path_tenant, identity.tenant)
        && path != key
    {
        return Err(Error::not_found());
    }
    if let Some(session) = identity.session {
        check_client::<P>(request, session)?;
    }
    let scopes = &identity.scopes;
    let granted: Vec<_> = P::ANY_OF
        .iter()
        .filter(|scope| scopes.contains(scope))
        .collect();
    let as_worker = granted.contains(&&Scope::Worker);
    if identity.is_suspended && !as_worker {
        return Err(Error::tenant_suspended());
    }
    if granted.is_empty() {
        let names: Vec<_> = P::ANY_OF.iter().map(|scope| format!("`{scope}`")).collect();
        let detail = format!("The scope {} is required.", names.join(" or "));
        return Err(Error::new(Code::MissingScope, detail));
    }
    let app = Arc::clone(app_state(request)?);
    let RequestMeta { id, address } = RequestMeta::of(request);
    Ok(Caller {
        service: Arc::clone(&app.service),
        app,
        origin: Origin {
            actor: identity.actor.clone(),
            request_id: id,
            address,
            is_suspended: identity.is_suspended,
        },
        scopes: scopes.clone(),
        key_tenant: identity.tenant,
        is_client: identity.session.is_some(),
        path_tenant,
        permission: PhantomData,
    })
}

/// A client token reads its own session, and only what is meant for it.
fn check_client<P: Permission>(request: &HttpRequest, session: SessionId) -> Result<()> {
    if !P::FOR_CLIENTS {
        let detail = "A client token reads its session with the events, the transcript and the participants, and nothing else.";
        return Err(Error::new(Code::MissingScope, detail));
    }
    let found = Match::of(request);
    let path_session = found.as_ref().and_then(|found| found.value("session_id"));
    match path_session.and_then(|id| id.parse().ok()) {
        Some(id) if session == id => Ok(()),
        _ => Err(Error::not_found()),
    }
}

impl<P> Caller<P> {
    /// Returns the tenant of the path, or else of the key; an internal error if there is neither.
    pub fn tenant(&self) -> Result<TenantId> {
        self.path_tenant
            .or(self.key_tenant)
            .ok_or_else(|| Error::internal("the route has no tenant"))
    }

    /// Returns the tenant of the path, if it has one.
    pub const fn path_tenant(&self) -> Option<TenantId> {
        self.path_tenant
    }

    /// Whether the caller is the operator.
    pub fn is_operator(&self) -> bool {
        self.origin.actor == Actor::Operator
    }

    /// Fails with 403 if the caller does not have this scope.
    pub fn require_scope(&self, scope: Scope) -> Result<()> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let detail = format!("The scope `{scope}` is also required.");
        Err(Error::new(Code::MissingScope, detail))
    }

    /// Opens a transaction for reading. Call [`TenantTx::finish`] at the end.
    pub async fn read(&self) -> Result<TenantTx> {
        Ok(self.service.db.begin(self.tenant()?).await?)
    }

    /// Runs `work` and writes its audit events in one transaction of the path's tenant.
    pub async fn change<T>(
        &self,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<T> {
        self.service
            .change(self.tenant()?, &self.origin, work)
            .await
    }

    /// Waits for a compute permit of the path's tenant.
    pub async fn compute_permit(&self) -> Result<ComputePermit> {
        self.service.compute.acquire(self.path_tenant()).await
    }

    /// Runs a fallible computation with a compute permit of the path's tenant.
    pub async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(Instant) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let compute = &self.service.compute;
        compute.run(self.path_tenant(), work).await?
    }
}

impl<P: Permission> Describe for Caller<P> {
    fn describe(operation: &mut Operation) {
        let scopes: Vec<_> = P::ANY_OF.iter().map(|scope| scope.as_str()).collect();
        let mut security = vec![json!({ "api_key": [] })];
        if P::FOR_CLIENTS {
            security.push(json!({ "client_token": [] }));
        }
        operation.set("security", json!(security));
        operation.set("x-scopes", json!(scopes));
        operation.error(Code::InvalidKey);
        operation.error(Code::MissingScope);
        operation.error(Code::RateLimited);
        if !P::ANY_OF.contains(&Scope::Operator) || P::ANY_OF.len() > 1 {
            operation.error(Code::TenantSuspended);
        }
    }
}
