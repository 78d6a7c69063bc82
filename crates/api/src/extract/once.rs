//! Requests that happen once: what an `Idempotency-Key` is good for, in HTTP's terms.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderName, HeaderValue},
};
use patchbay_domain::TenantId;
use patchbay_service::{
    Result, UnitOfWork,
    audit::Change,
    idempotency::{Once, Repeatable},
};
use uuid::Uuid;

use super::{Caller, IdempotencyKey};
use crate::{
    answer::{Parts, Reply, Respond, respond},
    error::ApiError,
    openapi::{Describe, Operation},
};

impl<R: Reply> Respond for Once<R> {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        match self {
            Self::Fresh(reply) => respond(&reply),
            Self::Replayed(kept) => {
                let mut response = match Parts::try_from(kept) {
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

impl<R: Reply> Describe for Once<R> {
    fn describe(operation: &mut Operation) {
        R::describe(operation);
        operation.header_of_answers("Idempotency-Replayed");
    }
}

impl<P> Caller<P> {
    fn repeatable(&self, key: &IdempotencyKey) -> Repeatable<'_> {
        Repeatable {
            service: &self.service,
            origin: &self.origin,
            home: self.path_tenant().unwrap_or(TenantId::new(Uuid::nil())),
            claim: key.claim(&self.origin.actor),
        }
    }

    /// Makes a change once: [`Caller::change`] for operations that take an `Idempotency-Key`.
    pub async fn once<R: Reply>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
    ) -> Result<Once<R>> {
        self.once_in(self.tenant()?, key, work).await
    }

    /// The same in a tenant that is not the caller's: the one that is being made.
    pub async fn once_in<R: Reply>(
        &self,
        tenant: TenantId,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
    ) -> Result<Once<R>> {
        let request = self.repeatable(key);
        request.once(tenant, false, &Parts::kept, work).await
    }

    /// Makes a change once, commits it, and then completes the answer outside the transaction.
    pub async fn once_then<R: Reply>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
        then: impl AsyncFnOnce(R) -> Result<R>,
    ) -> Result<Once<R>> {
        let request = self.repeatable(key);
        let begun = request.once(self.tenant()?, true, &Parts::kept, work);
        let provisional = match begun.await? {
            Once::Fresh(provisional) => provisional,
            replayed => return Ok(replayed),
        };
        let reply = then(provisional).await?;
        match request.claim {
            Some(_) => {
                let settled = async |_: &mut UnitOfWork| Ok(Change::none(reply));
                let reply = request.complete(&Parts::kept, settled).await?;
                Ok(Once::Fresh(reply))
            }
            None => Ok(Once::Fresh(reply)),
        }
    }

    /// Prepares an effect outside that must not be repeated: until [`Caller::complete`], and for ever
    /// after a crash between, the outcome of the key is not known. `longest` is the effect's longest time.
    pub async fn prepare<T>(
        &self,
        key: &IdempotencyKey,
        longest: impl FnOnce(&T) -> Duration,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<Once<T>> {
        self.repeatable(key).prepare(longest, work).await
    }

    /// Records how it went, and the final answer with it.
    pub async fn complete<R: Reply>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<R>>,
    ) -> Result<Once<R>> {
        let reply = self.repeatable(key).complete(&Parts::kept, work).await?;
        Ok(Once::Fresh(reply))
    }
}
