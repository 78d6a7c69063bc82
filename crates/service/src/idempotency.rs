//! Effects that happen once: the one mechanism behind idempotency keys.
//!
//! Inside the transaction of the effect, the request takes a lock on its key, looks for an earlier
//! answer, and leaves its own. Effect and record are therefore durable together or not at all. A
//! request that settles later (a start that waits for LiveKit) leaves a provisional answer first,
//! good from `settles_at` on, and the final one when it has it. An effect on others that must not be
//! repeated (a tool call) leaves a record without an answer first: `outcome_unknown` from then on,
//! until the answer is there. What an answer looks like is the caller's business: here it is kept
//! and given back.

use std::time::Duration;

use patchbay_domain::TenantId;
use patchbay_persistence::idempotency::{Claim, KeptAnswer};

use crate::{Code, Error, Origin, Result, Service, UnitOfWork, audit::Change};

/// What became of a request that happens once.
pub enum Once<T> {
    /// The effect happened just now.
    Fresh(T),
    /// It happened before; this is what was answered then.
    Replayed(KeptAnswer),
}

/// How an answer is kept.
pub type Keep<'a, T> = &'a dyn Fn(&T) -> Result<KeptAnswer>;

/// A request that may carry an idempotency key.
pub struct Repeatable<'a> {
    /// The service.
    pub service: &'a Service,
    /// Who asks.
    pub origin: &'a Origin,
    /// The tenant whose rows the record is among: the nil tenant where the request has none.
    pub home: TenantId,
    /// What the key stands for, if there is one.
    pub claim: Option<Claim>,
}

impl Repeatable<'_> {
    /// Makes a change of `tenant` once. What is `provisional` is settled later with
    /// [`Repeatable::complete`].
    pub async fn once<T>(
        &self,
        tenant: TenantId,
        provisional: bool,
        keep: Keep<'_, T>,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<Once<T>> {
        let Some(claim) = &self.claim else {
            let value = self.service.change(tenant, self.origin, work).await?;
            return Ok(Once::Fresh(value));
        };
        let mut unit = match self.open(claim).await? {
            Once::Fresh(unit) => unit,
            Once::Replayed(known) => return Ok(Once::Replayed(known)),
        };
        unit.enter(tenant).await?;
        let value = match unit.apply(work).await {
            Ok(value) => value,
            Err(error) => return Err(rolled_back(unit, error).await),
        };
        unit.enter(self.home).await?;
        let now = self.service.clock.now();
        let mut kept = keep(&value)?;
        kept.settles_at = provisional.then(|| now + self.patience());
        claim.store(&mut unit, &kept, now).await?;
        unit.commit().await?;
        Ok(Once::Fresh(value))
    }

    /// Prepares an effect outside that must not be repeated: until [`Repeatable::complete`], and for ever
    /// after a crash between, the outcome of the key is not known. `longest` is the effect's longest time.
    pub async fn prepare<T>(
        &self,
        longest: impl FnOnce(&T) -> Duration,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<Once<T>> {
        let Some(claim) = &self.claim else {
            let value = self.service.change(self.home, self.origin, work).await?;
            return Ok(Once::Fresh(value));
        };
        let mut unit = match self.open(claim).await? {
            Once::Fresh(unit) => unit,
            Once::Replayed(known) => return Ok(Once::Replayed(known)),
        };
        let prepared = match unit.apply(work).await {
            Ok(prepared) => prepared,
            Err(error) => return Err(rolled_back(unit, error).await),
        };
        let now = self.service.clock.now();
        let unknown = KeptAnswer {
            status: None,
            location: None,
            etag: None,
            body: Some(String::new()),
            settles_at: Some(now + longest(&prepared) + self.patience()),
        };
        claim.store(&mut unit, &unknown, now).await?;
        unit.commit().await?;
        Ok(Once::Fresh(prepared))
    }

    /// Records how it went, and the final answer with it.
    pub async fn complete<T>(
        &self,
        keep: Keep<'_, T>,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<T> {
        let mut unit = self.service.unit_of_work(self.home, self.origin).await?;
        let value = unit.apply(work).await?;
        if let Some(claim) = &self.claim {
            claim.complete(&mut unit, &keep(&value)?).await?;
        }
        unit.commit().await?;
        Ok(value)
    }

    /// A unit of work that holds the claim, or what this request was answered before.
    async fn open(&self, claim: &Claim) -> Result<Once<UnitOfWork>> {
        let mut unit = self.service.unit_of_work(self.home, self.origin).await?;
        match self.known(&mut unit, claim).await {
            Ok(None) => Ok(Once::Fresh(unit)),
            Ok(Some(known)) => {
                unit.roll_back().await;
                Ok(Once::Replayed(known))
            }
            Err(error) => Err(rolled_back(unit, error).await),
        }
    }

    /// What this request was answered before, if it was.
    async fn known(&self, unit: &mut UnitOfWork, claim: &Claim) -> Result<Option<KeptAnswer>> {
        if !claim.lock(unit).await? {
            return Err(in_flight());
        }
        let Some((fingerprint, answer)) = claim.find(unit).await? else {
            return Ok(None);
        };
        if fingerprint != claim.fingerprint {
            let detail = "The key was used for another path or body.";
            return Err(Error::new(Code::IdempotencyKeyReused, detail));
        }
        if answer.body.is_none() {
            let detail = "What was answered then has been erased since.";
            return Err(Error::new(Code::Erased, detail));
        }
        let now = self.service.clock.now();
        if answer.settles_at.is_some_and(|at| at > now) {
            return Err(in_flight());
        }
        if answer.status.is_none() {
            let detail = "The request was interrupted, and it is not known whether it took effect.";
            return Err(Error::new(Code::OutcomeUnknown, detail));
        }
        Ok(Some(answer))
    }

    /// Longer than a request may take: whoever was to complete it is then gone.
    fn patience(&self) -> Duration {
        self.service.settings.request_timeout
    }
}

fn in_flight() -> Error {
    let detail = "The first request with this key is still being worked on.";
    Error::new(Code::IdempotencyInFlight, detail)
}

/// Gives the claim back before the error is answered: the next try must not find it taken.
async fn rolled_back(unit: UnitOfWork, error: Error) -> Error {
    unit.roll_back().await;
    error
}
