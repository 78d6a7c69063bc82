//! Rate limits: per key, per tenant, and per address for those without a key.
//!
//! Nobody is refused for what strangers did: requests count for a key and its tenant once the key is
//! known to be right, and an address that fails too often (`addresses.rs`) refuses no key that is right.
//! What is remembered here is bounded: keys and tenants by those that exist and came in the last two
//! minutes, addresses by a number.
//!
//! They are kept in this process. Where several processes serve one installation, each allows its
//! share (`PATCHBAY_PROCESSES`), which is exact as long as requests are spread evenly.

mod addresses;

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use actix_web::http::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use patchbay_domain::{
    ApiKeyId, TenantId,
    limits::{Class, Rates, TenantLimits},
};
use tokio::sync::SemaphorePermit;

use subtle::ConstantTimeEq as _;

use crate::error::{ApiError, Code, Result};
use addresses::Addresses;

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

const WINDOW: Duration = Duration::from_secs(60);
/// A bucket that has not been touched for so long is full again.
const IDLE: Duration = Duration::from_secs(120);

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

struct Bucket {
    per_minute: u32,
    limiter: Limiter,
    touched: Instant,
}

/// How one limit stands after a request.
#[derive(Clone, Debug)]
struct Standing {
    policy: String,
    quota: u32,
    remaining: u32,
    /// Until the quota is whole again; where nothing remains, until the next request may come.
    reset: Duration,
    refused: bool,
}

/// How the limits of a request stand; left in the request for its answer's headers.
#[derive(Clone, Debug, Default)]
pub struct RateState(Vec<Standing>);

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
    standings: Vec<Standing>,
}

/// The class of a route.
pub fn class(method: &Method, pattern: &str) -> Class {
    const STARTS: [&str; 7] = [
        "/sessions",
        "/calls",
        "/start",
        "/attach",
        "/transfer",
        "/dtmf",
        "/test",
    ];
    let starts = STARTS.iter().any(|end| pattern.ends_with(end));
    match *method {
        Method::GET | Method::HEAD => Class::Reads,
        Method::POST if starts => Class::Starts,
        _ => Class::Writes,
    }
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
    ) -> Option<(RateState, ApiError)> {
        let refusals = self.refusals();
        let refusal = refusals.get(&(key, class))?;
        let left = refusal.until.checked_duration_since(Instant::now())?;
        let same: bool = refusal.secret_hash.ct_eq(secret_hash).into();
        if !same {
            return None;
        }
        let mut standings = refusal.standings.clone();
        for standing in standings.iter_mut().filter(|standing| standing.refused) {
            standing.reset = left;
        }
        let (state, outcome) = conclude(standings);
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
        let refused = state.0.iter().filter(|standing| standing.refused);
        let Some(wait) = refused.map(|standing| standing.reset).max() else {
            return;
        };
        let refusal = Refusal {
            secret_hash,
            until: Instant::now() + wait,
            standings: state.0.clone(),
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
        let standings = [
            self.count(&mut buckets, key, class, self.key.of(class)),
            self.count(&mut buckets, tenant, class, rates.of(class)),
        ];
        conclude(standings.into_iter().flatten().collect())
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
    ) -> Option<Standing> {
        let share = NonZeroU32::new(per_minute.div_ceil(self.processes))?;
        let fresh = || Bucket::new(share);
        let bucket = buckets.entry((subject, class)).or_insert_with(fresh);
        if bucket.per_minute != share.get() {
            *bucket = fresh();
        }
        Some(bucket.check(format!("{}-{}", subject.name(), class.as_str())))
    }
}

impl Bucket {
    fn new(per_minute: NonZeroU32) -> Self {
        Self {
            per_minute: per_minute.get(),
            limiter: RateLimiter::direct(Quota::per_minute(per_minute)).with_middleware(),
            touched: Instant::now(),
        }
    }

    fn check(&mut self, policy: String) -> Standing {
        self.touched = Instant::now();
        let quota = self.per_minute;
        let checked = self.limiter.check();
        let (remaining, reset) = match &checked {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                (remaining, WINDOW * (quota - remaining) / quota)
            }
            Err(until) => (0, until.wait_time_from(DefaultClock::default().now())),
        };
        Standing {
            policy,
            quota,
            remaining,
            reset,
            refused: checked.is_err(),
        }
    }
}

fn conclude(standings: Vec<Standing>) -> (RateState, Result<()>) {
    let refused = standings.iter().filter(|standing| standing.refused);
    let outcome = match refused.max_by_key(|standing| standing.reset) {
        Some(Standing {
            policy,
            quota,
            reset,
            ..
        }) => {
            let detail = format!("The limit {policy} allows {quota} requests a minute.");
            Err(ApiError::too_many(
                Code::RateLimited,
                detail,
                seconds(*reset),
            ))
        }
        None => Ok(()),
    };
    (RateState(standings), outcome)
}

/// Whole seconds, rounded up, at least one.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1) as u64
}

impl RateState {
    /// Puts the headers of draft-ietf-httpapi-ratelimit-headers into an answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        let list = |item: fn(&Standing) -> String| {
            let items: Vec<_> = self.0.iter().map(item).collect();
            HeaderValue::from_str(&items.join(", ")).ok()
        };
        let policies = list(|s| format!("\"{}\";q={};w={}", s.policy, s.quota, WINDOW.as_secs()));
        let standings =
            list(|s| format!("\"{}\";r={};t={}", s.policy, s.remaining, seconds(s.reset)));
        for (name, value) in [("ratelimit-policy", policies), ("ratelimit", standings)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
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
