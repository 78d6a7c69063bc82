//! Idempotency keys.
//!
//! Within the transaction of its effect, a request locks its key, looks for a response of an earlier request,
//! and stores its own. Effect and response are therefore committed together or not at all. A request that
//! completes later (a start that waits for LiveKit) first stores a provisional response, which is replayed
//! from `settles_at` on, and replaces it with the final one. An external effect that must not be repeated
//! (a tool call) first stores a record without a response: retries receive `outcome_unknown` until the
//! response is stored. The caller defines the format of responses; this module only stores and returns them.

use std::time::Duration;

use patchbay_domain::TenantId;
use patchbay_persistence::idempotency::{Claim, StoredResponse};

use crate::{Code, Error, Origin, Result, Service, UnitOfWork, audit::Change};

/// Result of a request that may carry an idempotency key.
pub enum Idempotent<T> {
    /// The request was executed now.
    Fresh(T),
    /// An earlier request with the key was executed; this is its response.
    Replayed(StoredResponse),
}

/// Converts a value into the response to be stored.
pub type ToStored<'a, T> = &'a dyn Fn(&T) -> Result<StoredResponse>;

/// A request that may carry an idempotency key.
pub struct IdempotentRequest<'a> {
    /// The service.
    pub service: &'a Service,
    /// Actor and request from which the change originates.
    pub origin: &'a Origin,
    /// Tenant that owns the stored response: the nil tenant for requests without one.
    pub record_tenant: TenantId,
    /// The idempotency key with the request's fingerprint, if a key was given.
    pub claim: Option<Claim>,
}

impl IdempotentRequest<'_> {
    /// Executes a change of `tenant` at most once per key. If `provisional`, the response is finalised later
    /// with [`IdempotentRequest::complete`].
    pub async fn execute<T>(
        &self,
        tenant: TenantId,
        provisional: bool,
        to_stored: ToStored<'_, T>,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<Idempotent<T>> {
        let Some(claim) = &self.claim else {
            let value = self.service.change(tenant, self.origin, work).await?;
            return Ok(Idempotent::Fresh(value));
        };
        let mut unit = match self.begin_unit(claim).await? {
            Idempotent::Fresh(unit) => unit,
            Idempotent::Replayed(stored) => return Ok(Idempotent::Replayed(stored)),
        };
        unit.enter(tenant).await?;
        let value = match unit.apply(work).await {
            Ok(value) => value,
            Err(error) => return Err(roll_back(unit, error).await),
        };
        unit.enter(self.record_tenant).await?;
        let now = self.service.clock.now();
        let mut response = to_stored(&value)?;
        response.settles_at = provisional.then(|| now + self.request_timeout());
        claim.store(&mut unit, &response, now).await?;
        unit.commit().await?;
        Ok(Idempotent::Fresh(value))
    }

    /// Prepares an external effect that must not be repeated. Until [`IdempotentRequest::complete`], and
    /// permanently if the process crashes in between, the outcome of the key is unknown. `max_duration` is the
    /// longest that the effect may take.
    pub async fn prepare<T>(
        &self,
        max_duration: impl FnOnce(&T) -> Duration,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<Idempotent<T>> {
        let Some(claim) = &self.claim else {
            let value = self
                .service
                .change(self.record_tenant, self.origin, work)
                .await?;
            return Ok(Idempotent::Fresh(value));
        };
        let mut unit = match self.begin_unit(claim).await? {
            Idempotent::Fresh(unit) => unit,
            Idempotent::Replayed(stored) => return Ok(Idempotent::Replayed(stored)),
        };
        let prepared = match unit.apply(work).await {
            Ok(prepared) => prepared,
            Err(error) => return Err(roll_back(unit, error).await),
        };
        let now = self.service.clock.now();
        let unknown = StoredResponse {
            status: None,
            location: None,
            etag: None,
            body: Some(String::new()),
            settles_at: Some(now + max_duration(&prepared) + self.request_timeout()),
        };
        claim.store(&mut unit, &unknown, now).await?;
        unit.commit().await?;
        Ok(Idempotent::Fresh(prepared))
    }

    /// Records the outcome together with the final response.
    pub async fn complete<T>(
        &self,
        to_stored: ToStored<'_, T>,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<T> {
        let mut unit = self
            .service
            .unit_of_work(self.record_tenant, self.origin)
            .await?;
        let value = unit.apply(work).await?;
        if let Some(claim) = &self.claim {
            claim.complete(&mut unit, &to_stored(&value)?).await?;
        }
        unit.commit().await?;
        Ok(value)
    }

    /// Begins a unit of work that holds the lock on the key, or returns the response of an earlier request.
    async fn begin_unit(&self, claim: &Claim) -> Result<Idempotent<UnitOfWork>> {
        let mut unit = self
            .service
            .unit_of_work(self.record_tenant, self.origin)
            .await?;
        match self.find_response(&mut unit, claim).await {
            Ok(None) => Ok(Idempotent::Fresh(unit)),
            Ok(Some(stored)) => {
                unit.roll_back().await;
                Ok(Idempotent::Replayed(stored))
            }
            Err(error) => Err(roll_back(unit, error).await),
        }
    }

    /// Locks the key and returns the response of an earlier request with it, if there was one.
    async fn find_response(
        &self,
        unit: &mut UnitOfWork,
        claim: &Claim,
    ) -> Result<Option<StoredResponse>> {
        if !claim.lock(unit).await? {
            return Err(in_flight());
        }
        let Some((fingerprint, response)) = claim.find(unit).await? else {
            return Ok(None);
        };
        if fingerprint != claim.fingerprint {
            let detail = "The key was used for another path or body.";
            return Err(Error::new(Code::IdempotencyKeyReused, detail));
        }
        if response.body.is_none() {
            let detail = "The stored response has been erased.";
            return Err(Error::new(Code::Erased, detail));
        }
        let now = self.service.clock.now();
        if response.settles_at.is_some_and(|at| at > now) {
            return Err(in_flight());
        }
        if response.status.is_none() {
            let detail = "The request was interrupted, and it is not known whether it took effect.";
            return Err(Error::new(Code::OutcomeUnknown, detail));
        }
        Ok(Some(response))
    }

    /// The longest that a request may take: after it, no request can still be completing the key.
    fn request_timeout(&self) -> Duration {
        self.service.settings.request_timeout
    }
}

fn in_flight() -> Error {
    let detail = "The first request with this key is still being processed.";
    Error::new(Code::IdempotencyInFlight, detail)
}

/// Releases the lock on the key before the error is returned, so that an immediate retry does not receive
/// `idempotency_in_flight`.
async fn roll_back(unit: UnitOfWork, error: Error) -> Error {
    unit.roll_back().await;
    error
}
