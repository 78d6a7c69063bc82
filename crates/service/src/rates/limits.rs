//! Rate limits per key and per tenant, and of failed authentications per address.
//!
//! A client is never refused for requests of others: a request counts for a key and its tenant only after the key
//! has been verified, and a blocked address (`addresses.rs`) does not refuse valid keys. Memory is bounded: keys and
//! tenants by those that exist and were active in the last two minutes, addresses by a constant.
//!
//! The limits are kept in this process. If several processes serve one installation, each allows its share
//! (`PATCHBAY_PROCESSES`), which is exact as long as requests are spread evenly.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{Error, Result};
use patchbay_domain::{
    ApiKeyId, SessionId, TenantId,
    limits::{Class, Rates, TenantLimits},
};
use subtle::ConstantTimeEq as _;
use tokio::sync::SemaphorePermit;

use super::{
    addresses::Addresses,
    bucket::{Bucket, IDLE},
    status::{LimitStatus, RateState, combine},
};

/// What a bucket counts requests of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An API key.
    Key(ApiKeyId),
    /// All client tokens of a session: they must not use up the limit of the key that has created them.
    Session(SessionId),
    /// A tenant.
    Tenant(TenantId),
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Session(_) => "session",
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
    verified: Mutex<HashMap<ApiKeyId, ([u8; 32], Instant)>>,
}

/// The refusal of a key, valid until `until`.
struct Refusal {
    secret_hash: [u8; 32],
    until: Instant,
    statuses: Vec<LimitStatus>,
}

impl RateLimits {
    /// Limits per key and tenant, and of failed authentications per address, all per minute and divided among this
    /// many processes.
    pub fn new(key: Rates, tenant: Rates, failures: u32, processes: u32) -> Self {
        let processes = processes.max(1);
        Self {
            key,
            tenant,
            processes,
            addresses: Addresses::new(NonZeroU32::new(failures.div_ceil(processes))),
            buckets: Mutex::default(),
            refusals: Mutex::default(),
            verified: Mutex::default(),
        }
    }

    /// Returns the refusal that still applies to a key, so that a flood of requests is refused without a database
    /// query for each.
    pub fn cached_refusal(
        &self,
        key: ApiKeyId,
        secret_hash: &[u8; 32],
        class: Class,
    ) -> Option<(RateState, Error)> {
        let refusals = self.refusals();
        let refusal = refusals.get(&(key, class))?;
        let left = refusal.until.checked_duration_since(Instant::now())?;
        let is_same_secret: bool = refusal.secret_hash.ct_eq(secret_hash).into();
        if !is_same_secret {
            return None;
        }
        let mut statuses = refusal.statuses.clone();
        for status in statuses.iter_mut().filter(|status| status.refused) {
            status.reset = left;
        }
        let (state, outcome) = combine(statuses);
        outcome.err().map(|error| (state, error))
    }

    /// Stores a refusal for [`Self::cached_refusal`], if there is one in `state`.
    pub fn cache_refusal(
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

    /// Counts a request of a key, or of a session's client tokens, which have the same limit; the outcome is 429 if it
    /// exceeds one.
    pub fn admit(
        &self,
        holder: Subject,
        tenant: TenantId,
        limits: &TenantLimits,
        class: Class,
    ) -> (RateState, Result<()>) {
        let rates = limits.rates(self.tenant);
        let mut buckets = self.buckets();
        let tenant = Subject::Tenant(tenant);
        let statuses = [
            self.count(&mut buckets, holder, class, self.key.of(class)),
            self.count(&mut buckets, tenant, class, rates.of(class)),
        ];
        combine(statuses.into_iter().flatten().collect())
    }

    /// Counts a failed authentication; the outcome is 429 if the address exceeds its limit.
    pub fn count_failure(&self, address: IpAddr) -> (RateState, Result<()>) {
        combine(self.addresses.count_failure(address).into_iter().collect())
    }

    /// Waits for a permit to look up a key if its address is blocked; `None` otherwise.
    pub async fn lookup_permit(&self, address: IpAddr) -> Option<SemaphorePermit<'_>> {
        self.addresses.lookup_permit(address).await
    }

    /// Records that a key was verified just now.
    pub fn record_verified(&self, key: ApiKeyId, secret_hash: [u8; 32]) {
        self.verified().insert(key, (secret_hash, Instant::now()));
    }

    /// Whether the key was verified in the last two minutes. It is still looked up, but needs no permit, so that
    /// guesses from the same address do not delay its requests.
    pub fn was_recently_verified(&self, key: ApiKeyId, secret_hash: &[u8; 32]) -> bool {
        let verified = self.verified();
        let recent = verified.get(&key).filter(|(_, at)| at.elapsed() < IDLE);
        recent.is_some_and(|(hash, _)| hash.ct_eq(secret_hash).into())
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<ApiKeyId, ([u8; 32], Instant)>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes entries that have no effect any more: full buckets, and refusals and verifications that are over.
    pub fn remove_idle(&self) {
        let now = Instant::now();
        self.buckets()
            .retain(|_, bucket| now - bucket.last_used < IDLE);
        self.addresses.remove_idle();
        self.refusals().retain(|_, refusal| refusal.until > now);
        self.verified().retain(|_, (_, at)| now - *at < IDLE);
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
        let new_bucket = || Bucket::new(share);
        let bucket = buckets.entry((subject, class)).or_insert_with(new_bucket);
        if bucket.per_minute != share.get() {
            *bucket = new_bucket();
        }
        Some(bucket.check(format!("{}-{}", subject.name(), class.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verified_key_is_recognised_by_its_secret() {
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
        assert!(!limits.was_recently_verified(key, &[1; 32]));
        limits.record_verified(key, [1; 32]);
        assert!(limits.was_recently_verified(key, &[1; 32]));
        assert!(
            !limits.was_recently_verified(key, &[2; 32])
                && !limits.was_recently_verified(other, &[1; 32])
        );
    }

    #[test]
    fn a_refused_key_is_recognised_by_its_secret_and_class() {
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
            let (state, outcome) = limits.admit(
                Subject::Key(key),
                tenant,
                &TenantLimits::default(),
                Class::Reads,
            );
            limits.cache_refusal(key, [1; 32], Class::Reads, &state);
            outcome
        };
        admit().unwrap();
        assert!(limits.cached_refusal(key, &[1; 32], Class::Reads).is_none());
        admit().unwrap_err();
        assert!(limits.cached_refusal(key, &[1; 32], Class::Reads).is_some());
        assert!(
            limits.cached_refusal(key, &[2; 32], Class::Reads).is_none(),
            "another secret"
        );
        assert!(
            limits
                .cached_refusal(key, &[1; 32], Class::Writes)
                .is_none(),
            "another class"
        );
    }
}
