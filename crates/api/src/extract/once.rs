//! Requests with an `Idempotency-Key`, which take effect once.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderName, HeaderValue},
};
use patchbay_domain::TenantId;
use patchbay_service::{
    Result, UnitOfWork,
    audit::Change,
    idempotency::{Idempotent, IdempotentRequest},
    instruments::record_replay,
};
use uuid::Uuid;

use super::{Caller, IdempotencyKey};
use crate::{
    error::ApiError,
    openapi::{Describe, Operation},
    response::{Reply, Respond, ResponseParts, respond},
};

impl<R: Reply> Respond for Idempotent<R> {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        match self {
            Self::Fresh(reply) => respond(&reply),
            Self::Replayed(stored) => {
                record_replay();
                let mut response = match ResponseParts::try_from(stored) {
                    Ok(parts) => parts.respond(),
                    Err(error) => return HttpResponse::from_error(ApiError::from(error)),
                };
                let name = HeaderName::from_static("idempotency-replayed");
                let headers = response.headers_mut();
                headers.insert(name, HeaderValue::from_static("true"));
                response
            }
        }
    }
}

impl<R: Reply> Describe for Idempotent<R> {
    fn describe(operation: &mut Operation) {
        R::describe(operation);
        operation.response_header("Idempotency-Replayed");
    }
}

impl<P> Caller<P> {
    fn idempotent_request(&self, key: &IdempotencyKey) -> IdempotentRequest<'_> {
        IdempotentRequest {
            service: &self.service,
            origin: &self.origin,
            record_tenant: self.path_tenant().unwrap_or(TenantId::new(Uuid::nil())),
            claim: key.claim(&self.origin.actor),
        }
    }

    /// Applies a change once: [`Caller::change`] for operations with an `Idempotency-Key`.
    pub async fn once<R: Reply>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
    ) -> Result<Idempotent<R>> {
        self.once_in(self.tenant()?, key, work).await
    }

    /// Applies a change once in a tenant other than the caller's: one that is being created.
    pub async fn once_in<R: Reply>(
        &self,
        tenant: TenantId,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
    ) -> Result<Idempotent<R>> {
        let request = self.idempotent_request(key);
        request
            .execute(tenant, false, &ResponseParts::to_stored, work)
            .await
    }

    /// Applies a change once, commits it, and then completes the response outside the transaction.
    pub async fn once_then<R: Reply>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
        then: impl AsyncFnOnce(R) -> Result<R>,
    ) -> Result<Idempotent<R>> {
        let request = self.idempotent_request(key);
        let first = request.execute(self.tenant()?, true, &ResponseParts::to_stored, work);
        let provisional = match first.await? {
            Idempotent::Fresh(provisional) => provisional,
            replayed => return Ok(replayed),
        };
        let reply = then(provisional).await?;
        match request.claim {
            Some(_) => {
                let finish = async |_: &mut UnitOfWork| Ok(Change::without_events(reply));
                let reply = request.complete(&ResponseParts::to_stored, finish).await?;
                Ok(Idempotent::Fresh(reply))
            }
            None => Ok(Idempotent::Fresh(reply)),
        }
    }

    /// Prepares an external effect that must not be repeated. The outcome of the key is unknown until
    /// [`Caller::complete`], and stays so if the process crashes before. `max_duration` is that of the effect.
    pub async fn prepare<T>(
        &self,
        key: &IdempotencyKey,
        max_duration: impl FnOnce(&T) -> Duration,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<Idempotent<T>> {
        self.idempotent_request(key)
            .prepare(max_duration, work)
            .await
    }

    /// Records the outcome together with the final response.
    pub async fn complete<R: Reply>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
    ) -> Result<Idempotent<R>> {
        let reply = self
            .idempotent_request(key)
            .complete(&ResponseParts::to_stored, work)
            .await?;
        Ok(Idempotent::Fresh(reply))
    }
}
