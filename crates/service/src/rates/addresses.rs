//! Failed authentications, counted per address.
//!
//! An address with too many failures is blocked for a moment: further failures from it get 429. A valid key is
//! never refused for failures of others behind its address, so keys from a blocked address are still looked up, but
//! only a few at a time: guesses, however many, never occupy more than a few database connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    bucket::{Bucket, IDLE},
    status::LimitStatus,
};

/// Maximum number of addresses with their own count. All further ones share one count, so that a client with very
/// many addresses cannot exhaust memory.
const MAX_ADDRESSES: usize = 10_000;
/// Concurrent lookups of keys from blocked addresses.
const MAX_LOOKUPS: usize = 2;

/// An address; `None` is the shared count of those beyond [`MAX_ADDRESSES`].
type Origin = Option<IpAddr>;

struct Entry {
    bucket: Bucket,
    blocked_until: Option<Instant>,
}

/// Failures and blocks per address.
pub(super) struct Addresses {
    per_minute: Option<NonZeroU32>,
    max_addresses: usize,
    entries: Mutex<HashMap<Origin, Entry>>,
    lookups: Semaphore,
}

impl Addresses {
    /// Allows this many failures per minute and address; any number if `None`.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self {
            per_minute,
            max_addresses: MAX_ADDRESSES,
            entries: Mutex::default(),
            lookups: Semaphore::new(MAX_LOOKUPS),
        }
    }

    /// Counts a failed authentication; `None` if failures are not limited.
    pub fn count_failure(&self, address: IpAddr) -> Option<LimitStatus> {
        let quota = self.per_minute?;
        let mut entries = self.entries();
        let origin = self.origin(&entries, address);
        let entry = entries.entry(origin).or_insert_with(|| Entry {
            bucket: Bucket::new(quota),
            blocked_until: None,
        });
        let status = entry.bucket.check("address-reads".to_owned());
        if status.refused {
            entry.blocked_until = Some(Instant::now() + status.reset);
        }
        Some(status)
    }

    /// Waits for a permit to look up a key; `None` at once if the address is not blocked.
    pub async fn lookup_permit(&self, address: IpAddr) -> Option<SemaphorePermit<'_>> {
        if !self.is_blocked(address) {
            return None;
        }
        self.lookups.acquire().await.ok()
    }

    /// Whether the address is blocked now.
    fn is_blocked(&self, address: IpAddr) -> bool {
        let entries = self.entries();
        let entry = entries.get(&self.origin(&entries, address));
        let until = entry.and_then(|entry| entry.blocked_until);
        until.is_some_and(|until| until > Instant::now())
    }

    /// Removes addresses whose bucket is full again.
    pub fn remove_idle(&self) {
        let now = Instant::now();
        self.entries()
            .retain(|_, entry| now - entry.bucket.last_used < IDLE);
    }

    fn origin(&self, entries: &HashMap<Origin, Entry>, address: IpAddr) -> Origin {
        let network = Some(network(address));
        let has_own_count = entries.len() < self.max_addresses || entries.contains_key(&network);
        network.filter(|_| has_own_count)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Origin, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the address that is counted: for IPv6 the /64, all of which usually belongs to one client.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn addresses(max_addresses: usize) -> Addresses {
        Addresses {
            max_addresses,
            ..Addresses::new(NonZeroU32::new(1))
        }
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_a_64_and_other_notations_share_one_count() {
        let counts = addresses(MAX_ADDRESSES);
        for (first, second, other) in [
            ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ] {
            assert!(!counts.count_failure(at(first)).unwrap().refused, "{first}");
            assert!(
                counts.count_failure(at(second)).unwrap().refused,
                "{second}"
            );
            assert!(counts.is_blocked(at(first)) && counts.is_blocked(at(second)));
            assert!(!counts.is_blocked(at(other)), "{other}");
        }
    }

    #[test]
    fn the_number_of_counted_addresses_is_bounded() {
        let counts = addresses(100);
        for number in 0..10_000u32 {
            counts.count_failure(Ipv4Addr::from_bits(number).into());
        }
        assert_eq!(counts.entries().len(), 101);
        // The first addresses have their own count; all others share one, which is exhausted.
        assert!(!counts.is_blocked(at("0.0.0.1")));
        assert!(counts.is_blocked(at("198.51.100.1")));
    }

    #[tokio::test]
    async fn lookups_from_blocked_addresses_wait_for_each_other() {
        let counts = addresses(MAX_ADDRESSES);
        let (blocked, free) = (at("192.0.2.1"), at("192.0.2.2"));
        counts.count_failure(blocked);
        counts.count_failure(blocked);
        let held = [
            counts.lookup_permit(blocked).await,
            counts.lookup_permit(blocked).await,
        ];
        assert!(held.iter().all(Option::is_some));
        let short = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(short, counts.lookup_permit(blocked))
                .await
                .is_err()
        );
        assert!(
            counts.lookup_permit(free).await.is_none(),
            "it needs no permit"
        );
        drop(held);
        assert!(counts.lookup_permit(blocked).await.is_some());
    }
}
