//! Effects that happen once: the one mechanism behind `Idempotency-Key`.
//!
//! Inside the transaction of the effect, the request takes a lock on its key, looks for an earlier
//! answer, and leaves its own. Effect and record are therefore durable together or not at all. A
//! request that settles later (a start that waits for LiveKit) leaves a provisional answer first,
//! good from `settles_at` on, and the final one when it has it. An effect on others that must not be
//! repeated (a tool call) leaves a record without an answer first: `outcome_unknown` from then on,
//! until the answer is there.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use patchbay_domain::TenantId;
use patchbay_persistence::{
    TenantTx,
    idempotency::{self, Claim},
};
use serde_json::Value;

use crate::{
    answer::{Answer, Parts, Resource, Respond, respond},
    audit::Change,
    error::{ApiError, Code, Result},
    extract::{Caller, IdempotencyKey},
    openapi::{Describe, Operation},
};

/// An effect that is about to happen, or what it was answered when it did.
pub enum Pending<T> {
    /// What it takes; the effect comes next.
    Prepared(T),
    /// It happened before.
    Replayed(Parts),
}

/// An answer of an operation that takes an `Idempotency-Key`.
pub enum Once<R> {
    /// The effect happened just now.
    Fresh(R),
    /// It happened before; this is what was answered then.
    Replayed(Parts),
}

impl<R: Answer> Respond for Once<R> {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        match self {
            Self::Fresh(answer) => respond(&answer),
            Self::Replayed(parts) => {
                let mut response = parts.respond();
                response.headers_mut().insert(
                    actix_web::http::header::HeaderName::from_static("idempotency-replayed"),
                    actix_web::http::header::HeaderValue::from_static("true"),
                );
                response
            }
        }
    }
}

impl<R: Answer> Describe for Once<R> {
    fn describe(operation: &mut Operation) {
        R::describe(operation);
        operation.header_of_answers("Idempotency-Replayed");
    }
}

impl<P> Caller<P> {
    /// Makes a change once: [`Caller::change`] for operations that take an `Idempotency-Key`.
    pub async fn once<R: Answer>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<R>>,
    ) -> Result<Once<R>> {
        self.once_in(self.tenant()?, key, work).await
    }

    /// The same in a tenant that is not the caller's: the one that is being made.
    pub async fn once_in<R: Answer>(
        &self,
        tenant: TenantId,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<R>>,
    ) -> Result<Once<R>> {
        self.begin_once(tenant, key, work, true).await
    }

    /// Makes a change once, commits it, and then completes the answer outside the transaction.
    pub async fn once_then<R: Answer>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<R>>,
        then: impl AsyncFnOnce(R) -> Result<R>,
    ) -> Result<Once<R>> {
        let tenant = self.tenant()?;
        let provisional = match self.begin_once(tenant, key, work, false).await? {
            Once::Fresh(provisional) => provisional,
            replayed => return Ok(replayed),
        };
        let answer = then(provisional).await?;
        match key.claim(&self.actor) {
            Some(_) => self.settle(key, async |_| Ok(Change::none(answer))).await,
            None => Ok(Once::Fresh(answer)),
        }
    }

    /// Prepares an effect outside that must not be repeated: until [`Caller::settle`], and for ever
    /// after a crash between, the outcome of the key is not known. `longest` tells the effect's most
    /// time.
    pub async fn pend<T>(
        &self,
        key: &IdempotencyKey,
        longest: impl FnOnce(&T) -> Duration,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<T>>,
    ) -> Result<Pending<T>> {
        let tenant = self.tenant()?;
        let Some(claim) = key.claim(&self.actor) else {
            return Ok(Pending::Prepared(self.change_in(tenant, work).await?));
        };
        let mut tx = match self.open(tenant, &claim).await? {
            Pending::Prepared(tx) => tx,
            Pending::Replayed(known) => return Ok(Pending::Replayed(known)),
        };
        let prepared = match self.apply(&mut tx, work).await {
            Ok(prepared) => prepared,
            Err(error) => return Err(refused(tx, error).await),
        };
        let now = self.app.clock.now();
        let unknown = idempotency::Answer {
            status: None,
            location: None,
            etag: None,
            body: Some(String::new()),
            settles_at: Some(now + longest(&prepared) + self.patience()),
        };
        claim.store(&mut tx, &unknown, now).await?;
        tx.commit().await?;
        Ok(Pending::Prepared(prepared))
    }

    /// Records how it went, and the final answer with it.
    pub async fn settle<R: Answer>(
        &self,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<R>>,
    ) -> Result<Once<R>> {
        let mut tx = self.app.db.begin(self.tenant()?).await?;
        let answer = self.apply(&mut tx, work).await?;
        if let Some(claim) = key.claim(&self.actor) {
            claim.settle(&mut tx, &self.kept(&answer, true)?).await?;
        }
        tx.commit().await?;
        Ok(Once::Fresh(answer))
    }

    async fn begin_once<R: Answer>(
        &self,
        tenant: TenantId,
        key: &IdempotencyKey,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<Change<R>>,
        settled: bool,
    ) -> Result<Once<R>> {
        let Some(claim) = key.claim(&self.actor) else {
            return Ok(Once::Fresh(self.change_in(tenant, work).await?));
        };
        let home = self.home();
        let mut tx = match self.open(home, &claim).await? {
            Pending::Prepared(tx) => tx,
            Pending::Replayed(known) => return Ok(Once::Replayed(known)),
        };
        tx.enter(tenant).await?;
        let answer = match self.apply(&mut tx, work).await {
            Ok(answer) => answer,
            Err(error) => return Err(refused(tx, error).await),
        };
        tx.enter(home).await?;
        let now = self.app.clock.now();
        let kept = self.kept(&answer, settled)?;
        claim.store(&mut tx, &kept, now).await?;
        tx.commit().await?;
        Ok(Once::Fresh(answer))
    }

    /// A transaction that holds the claim, or what this request was answered before.
    async fn open(&self, home: TenantId, claim: &Claim) -> Result<Pending<TenantTx>> {
        let mut tx = self.app.db.begin(home).await?;
        match self.known(&mut tx, claim).await {
            Ok(None) => Ok(Pending::Prepared(tx)),
            Ok(Some(known)) => {
                tx.roll_back().await;
                Ok(Pending::Replayed(known))
            }
            Err(error) => Err(refused(tx, error).await),
        }
    }

    /// What this request was answered before, if it was.
    async fn known(&self, tx: &mut TenantTx, claim: &Claim) -> Result<Option<Parts>> {
        let in_flight = || {
            let detail = "The first request with this key is still being worked on.";
            ApiError::new(Code::IdempotencyInFlight, detail)
        };
        if !claim.lock(tx).await? {
            return Err(in_flight());
        }
        let Some((fingerprint, answer)) = claim.find(tx).await? else {
            return Ok(None);
        };
        if fingerprint != claim.fingerprint {
            let detail = "The key was used for another path or body.";
            return Err(ApiError::new(Code::IdempotencyKeyReused, detail));
        }
        let idempotency::Answer {
            status,
            location,
            etag,
            body,
            settles_at,
        } = answer;
        let body = body.ok_or_else(|| {
            let detail = "What was answered then has been erased since.";
            ApiError::new(Code::Erased, detail)
        })?;
        if settles_at.is_some_and(|at| at > self.app.clock.now()) {
            return Err(in_flight());
        }
        let Some(status) = status else {
            let detail = "The request was interrupted, and it is not known whether it took effect.";
            return Err(ApiError::new(Code::OutcomeUnknown, detail));
        };
        Ok(Some(Parts {
            status: u16::try_from(status).map_err(ApiError::internal)?,
            location,
            etag,
            body,
        }))
    }

    /// What is kept of an answer.
    fn kept<R: Answer>(&self, answer: &R, settled: bool) -> Result<idempotency::Answer> {
        let parts = answer.parts()?;
        let settles_at = self.app.clock.now() + self.patience();
        Ok(idempotency::Answer {
            status: Some(i16::try_from(parts.status).map_err(ApiError::internal)?),
            location: parts.location,
            etag: parts.etag,
            body: Some(without_secret::<R::Resource>(parts.body)?),
            settles_at: (!settled).then_some(settles_at),
        })
    }

    /// Longer than a request may take: whoever was to settle it is then gone.
    fn patience(&self) -> Duration {
        self.app.settings.request_timeout.into()
    }

    /// Whose rows the record is among: the path's tenant, or nobody's.
    fn home(&self) -> TenantId {
        self.path_tenant()
            .unwrap_or(TenantId::new(uuid::Uuid::nil()))
    }
}

/// Gives the claim back before the error is told: the next try must not find it taken.
async fn refused(tx: TenantTx, error: ApiError) -> ApiError {
    tx.roll_back().await;
    error
}

/// What is kept of a body.
fn without_secret<T: Resource>(body: String) -> Result<String> {
    let Some(field) = T::SECRET else {
        return Ok(body);
    };
    let mut value: Value = serde_json::from_str(&body).map_err(ApiError::internal)?;
    value[field] = Value::Null;
    Ok(value.to_string())
}
