//! Who calls, and that they may: decided before the body is read.

use std::{marker::PhantomData, sync::Arc, time::Instant};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;
use patchbay_domain::{Scope, TenantId};
use patchbay_persistence::TenantTx;
use patchbay_service::{
    Actor, Code, Error, Origin, Result, Service, UnitOfWork, audit::Change, compute::Turn,
};
use serde_json::json;

use super::{
    identity::Identity,
    request::{RequestMeta, app_of, path_tenant},
    scopes::Permission,
};
use crate::{
    app::App,
    error::ApiError,
    openapi::{Describe, Operation},
};

/// A caller who is known, may see the path's tenant and holds one of the scopes of `P`.
///
/// It comes first in every handler: permission is visible in the type, and the order of the
/// answers is fixed: 401, another tenant's path 404, suspended 403, scope 403, then the body.
pub struct Caller<P> {
    /// The server's state.
    pub app: Arc<App>,
    /// The service.
    pub service: Arc<Service>,
    /// Who it is, and what is known of the request.
    pub origin: Origin,
    /// The scopes of the key.
    pub scopes: Vec<Scope>,
    /// The key's tenant; none for the installation's own keys.
    pub key_tenant: Option<TenantId>,
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
            Ok(admit::<P>(&request, &identity)?)
        })
    }
}

fn admit<P: Permission>(request: &HttpRequest, identity: &Identity) -> Result<Caller<P>> {
    let path_tenant = path_tenant(request)?;
    if let (Some(path), Some(key)) = (path_tenant, identity.tenant)
        && path != key
    {
        return Err(Error::not_found());
    }
    if let Some(tenant) = path_tenant {
        tracing::Span::current().record("tenant_id", tracing::field::display(tenant));
    }
    let scopes = &identity.scopes;
    let admitted: Vec<_> = P::ANY_OF
        .iter()
        .filter(|scope| scopes.contains(scope))
        .collect();
    let as_worker = admitted.contains(&&Scope::Worker);
    if identity.is_suspended && !as_worker {
        let detail = "The operator has suspended this tenant.";
        return Err(Error::new(Code::TenantSuspended, detail));
    }
    if admitted.is_empty() {
        let names: Vec<_> = P::ANY_OF.iter().map(|scope| format!("`{scope}`")).collect();
        let detail = format!("This needs the scope {}.", names.join(" or "));
        return Err(Error::new(Code::MissingScope, detail));
    }
    let app = Arc::clone(app_of(request)?);
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
        path_tenant,
        permission: PhantomData,
    })
}

impl<P> Caller<P> {
    /// The tenant of the path. A handler without one has no business asking.
    pub fn tenant(&self) -> Result<TenantId> {
        self.path_tenant
            .or(self.key_tenant)
            .ok_or_else(|| Error::internal("the route has no tenant"))
    }

    /// The tenant in the path, if there is one.
    pub const fn path_tenant(&self) -> Option<TenantId> {
        self.path_tenant
    }

    /// Whether the caller is the operator.
    pub fn is_operator(&self) -> bool {
        self.origin.actor == Actor::Operator
    }

    /// Refuses a caller without this scope.
    pub fn require_scope(&self, scope: Scope) -> Result<()> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let detail = format!("This needs the scope `{scope}` too.");
        Err(Error::new(Code::MissingScope, detail))
    }

    /// A transaction to read in; [`TenantTx::finish`] it.
    pub async fn read(&self) -> Result<TenantTx> {
        Ok(self.service.db.begin(self.tenant()?).await?)
    }

    /// Makes a change: `work` and its audit events in one transaction of the path's tenant.
    pub async fn change<T>(
        &self,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<T> {
        self.service
            .change(self.tenant()?, &self.origin, work)
            .await
    }

    /// A turn to compute in, of the path's tenant.
    pub async fn turn(&self) -> Result<Turn> {
        self.service.compute.turn(self.path_tenant()).await
    }

    /// Computes something that may fail, in a turn of the path's tenant.
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
