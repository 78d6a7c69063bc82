//! Rate limits: per key, per tenant, and per address for those without a key.
//!
//! Nobody is refused for what strangers did: requests count for a key and its tenant once the key is
//! known to be right, and an address that fails too often (`addresses.rs`) refuses no key that is right.
//! What is remembered here is bounded: keys and tenants by those that exist and came in the last two
//! minutes, addresses by a number.
//!
//! They are kept in this process. Where several processes serve one installation, each allows its
//! share (`PATCHBAY_PROCESSES`), which is exact as long as requests are spread evenly.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{Error, Result};
use patchbay_domain::{
    ApiKeyId, TenantId,
    limits::{Class, Rates, TenantLimits},
};
use subtle::ConstantTimeEq as _;
use tokio::sync::SemaphorePermit;

use super::{
    addresses::Addresses,
    bucket::{Bucket, IDLE},
    status::{LimitStatus, RateState, conclude},
};

/// Whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Key(ApiKeyId),
    Tenant(TenantId),
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Tenant(_) => "tenant",
        }
    }
}

/// The limits of this process.
pub struct RateLimits {
    key: Rates,
    tenant: Rates,
    processes: u32,
    addresses: Addresses,
    buckets: Mutex<HashMap<(Subject, Class), Bucket>>,
    refusals: Mutex<HashMap<(ApiKeyId, Class), Refusal>>,
    right: Mutex<HashMap<ApiKeyId, ([u8; 32], Instant)>>,
}

/// A key that was refused, and may not come again before `until`.
struct Refusal {
    secret_hash: [u8; 32],
    until: Instant,
    statuses: Vec<LimitStatus>,
}

impl RateLimits {
    /// Limits per key and tenant, and of failed authentications per address, all per minute and
    /// shared by this many processes.
    pub fn new(key: Rates, tenant: Rates, failures: u32, processes: u32) -> Self {
        let processes = processes.max(1);
        Self {
            key,
            tenant,
            processes,
            addresses: Addresses::new(NonZeroU32::new(failures.div_ceil(processes))),
            buckets: Mutex::default(),
            refusals: Mutex::default(),
            right: Mutex::default(),
        }
    }

    /// The refusal of a key that came too soon again. A flood is then told apart without asking the
    /// database for every one of its requests.
    pub fn still_refused(
        &self,
        key: ApiKeyId,
        secret_hash: &[u8; 32],
        class: Class,
    ) -> Option<(RateState, Error)> {
        let refusals = self.refusals();
        let refusal = refusals.get(&(key, class))?;
        let left = refusal.until.checked_duration_since(Instant::now())?;
        let same: bool = refusal.secret_hash.ct_eq(secret_hash).into();
        if !same {
            return None;
        }
        let mut statuses = refusal.statuses.clone();
        for status in statuses.iter_mut().filter(|status| status.refused) {
            status.reset = left;
        }
        let (state, outcome) = conclude(statuses);
        outcome.err().map(|error| (state, error))
    }

    /// Remembers a refusal for [`Self::still_refused`].
    pub fn note_refusal(
        &self,
        key: ApiKeyId,
        secret_hash: [u8; 32],
        class: Class,
        state: &RateState,
    ) {
        let refused = state.0.iter().filter(|status| status.refused);
        let Some(wait) = refused.map(|status| status.reset).max() else {
            return;
        };
        let refusal = Refusal {
            secret_hash,
            until: Instant::now() + wait,
            statuses: state.0.clone(),
        };
        self.refusals().insert((key, class), refusal);
    }

    /// Counts a request of a key; 429 where it is one too many.
    pub fn admit(
        &self,
        key: ApiKeyId,
        tenant: TenantId,
        limits: &TenantLimits,
        class: Class,
    ) -> (RateState, Result<()>) {
        let rates = limits.rates(self.tenant);
        let mut buckets = self.buckets();
        let (key, tenant) = (Subject::Key(key), Subject::Tenant(tenant));
        let statuses = [
            self.count(&mut buckets, key, class, self.key.of(class)),
            self.count(&mut buckets, tenant, class, rates.of(class)),
        ];
        conclude(statuses.into_iter().flatten().collect())
    }

    /// Counts a failed authentication; 429 where it is one too many.
    pub fn fail(&self, address: IpAddr) -> (RateState, Result<()>) {
        conclude(self.addresses.fail(address).into_iter().collect())
    }

    /// Waits for a turn to look up a key, if its address has failed too often; the turn is over when
    /// this is dropped.
    pub async fn turn(&self, address: IpAddr) -> Option<SemaphorePermit<'_>> {
        self.addresses.turn(address).await
    }

    /// Remembers that a key was right just now.
    pub fn note_right(&self, key: ApiKeyId, secret_hash: [u8; 32]) {
        self.right().insert(key, (secret_hash, Instant::now()));
    }

    /// Whether the key was right in the last two minutes. It is still looked up, but needs no turn: whoever
    /// guesses from the same address keeps nobody waiting who works there.
    pub fn was_right(&self, key: ApiKeyId, secret_hash: &[u8; 32]) -> bool {
        let right = self.right();
        let known = right.get(&key).filter(|(_, at)| at.elapsed() < IDLE);
        known.is_some_and(|(known, _)| known.ct_eq(secret_hash).into())
    }

    fn right(&self) -> MutexGuard<'_, HashMap<ApiKeyId, ([u8; 32], Instant)>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets buckets that are full again.
    pub fn forget_idle(&self) {
        let now = Instant::now();
        self.buckets()
            .retain(|_, bucket| now - bucket.touched < IDLE);
        self.addresses.forget_idle();
        self.refusals().retain(|_, refusal| refusal.until > now);
        self.right().retain(|_, (_, at)| now - *at < IDLE);
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<(ApiKeyId, Class), Refusal>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<(Subject, Class), Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(
        &self,
        buckets: &mut HashMap<(Subject, Class), Bucket>,
        subject: Subject,
        class: Class,
        per_minute: u32,
    ) -> Option<LimitStatus> {
        let share = NonZeroU32::new(per_minute.div_ceil(self.processes))?;
        let fresh = || Bucket::new(share);
        let bucket = buckets.entry((subject, class)).or_insert_with(fresh);
        if bucket.per_minute != share.get() {
            *bucket = fresh();
        }
        Some(bucket.check(format!("{}-{}", subject.name(), class.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_right_is_known_again_by_its_secret() {
        let none = Rates {
            reads: 0,
            writes: 0,
            starts: 0,
        };
        let limits = RateLimits::new(none, none, 1, 1);
        let (key, other) = (
            ApiKeyId::new(uuid::Uuid::max()),
            ApiKeyId::new(uuid::Uuid::nil()),
        );
        assert!(!limits.was_right(key, &[1; 32]));
        limits.note_right(key, [1; 32]);
        assert!(limits.was_right(key, &[1; 32]));
        assert!(!limits.was_right(key, &[2; 32]) && !limits.was_right(other, &[1; 32]));
    }

    #[test]
    fn a_refused_key_is_known_again_by_its_secret_and_class() {
        let one = Rates {
            reads: 1,
            writes: 1,
            starts: 1,
        };
        let limits = RateLimits::new(one, one, 1, 1);
        let (key, tenant) = (
            ApiKeyId::new(uuid::Uuid::max()),
            TenantId::new(uuid::Uuid::nil()),
        );
        let admit = || {
            let (state, outcome) =
                limits.admit(key, tenant, &TenantLimits::default(), Class::Reads);
            limits.note_refusal(key, [1; 32], Class::Reads, &state);
            outcome
        };
        admit().unwrap();
        assert!(limits.still_refused(key, &[1; 32], Class::Reads).is_none());
        admit().unwrap_err();
        assert!(limits.still_refused(key, &[1; 32], Class::Reads).is_some());
        assert!(
            limits.still_refused(key, &[2; 32], Class::Reads).is_none(),
            "another secret"
        );
        assert!(
            limits.still_refused(key, &[1; 32], Class::Writes).is_none(),
            "another class"
        );
    }
}
