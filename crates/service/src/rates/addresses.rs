//! Failed authentications, counted per address.
//!
//! An address that has failed too often is blocked for a moment: what is wrong from there is answered
//! 429. A key that is right is never refused for what others behind its address did. So a key from a
//! blocked address is still looked up, but through a narrow gate: however many guesses come, they
//! never take more than a few connections to the database.

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

/// Addresses that are counted one by one. Beyond them, those that fail too share one count, so that
/// nobody with very many addresses makes the process grow.
const MOST: usize = 10_000;
/// Keys from blocked addresses that are looked up at a time.
const LOOKUPS: usize = 2;

/// An address; none stands for all beyond [`MOST`].
type Origin = Option<IpAddr>;

struct Entry {
    bucket: Bucket,
    blocked_until: Option<Instant>,
}

/// Who has failed, and who is blocked for it.
pub(super) struct Addresses {
    per_minute: Option<NonZeroU32>,
    most: usize,
    known: Mutex<HashMap<Origin, Entry>>,
    gate: Semaphore,
}

impl Addresses {
    /// At most so many failures a minute of each address; none for any number.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self {
            per_minute,
            most: MOST,
            known: Mutex::default(),
            gate: Semaphore::new(LOOKUPS),
        }
    }

    /// Counts a failure.
    pub fn fail(&self, address: IpAddr) -> Option<LimitStatus> {
        let quota = self.per_minute?;
        let mut known = self.known();
        let origin = self.origin(&known, address);
        let entry = known.entry(origin).or_insert_with(|| Entry {
            bucket: Bucket::new(quota),
            blocked_until: None,
        });
        let status = entry.bucket.check("address-reads".to_owned());
        if status.refused {
            entry.blocked_until = Some(Instant::now() + status.reset);
        }
        Some(status)
    }

    /// Waits for a turn to look up a key, if its address is blocked.
    pub async fn turn(&self, address: IpAddr) -> Option<SemaphorePermit<'_>> {
        if !self.is_blocked(address) {
            return None;
        }
        self.gate.acquire().await.ok()
    }

    /// Whether the address has failed too often just now.
    fn is_blocked(&self, address: IpAddr) -> bool {
        let known = self.known();
        let entry = known.get(&self.origin(&known, address));
        let until = entry.and_then(|entry| entry.blocked_until);
        until.is_some_and(|until| until > Instant::now())
    }

    /// Forgets those whose count is full again.
    pub fn forget_idle(&self) {
        let now = Instant::now();
        self.known()
            .retain(|_, entry| now - entry.bucket.touched < IDLE);
    }

    fn origin(&self, known: &HashMap<Origin, Entry>, address: IpAddr) -> Origin {
        let network = Some(network(address));
        let is_counted = known.len() < self.most || known.contains_key(&network);
        network.filter(|_| is_counted)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Origin, Entry>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who has an IPv6 address usually has a whole /64 of them.
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

    fn addresses(most: usize) -> Addresses {
        Addresses {
            most,
            ..Addresses::new(NonZeroU32::new(1))
        }
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn neighbours_in_a_64_and_other_spellings_are_one_address() {
        let known = addresses(MOST);
        for (first, second, other) in [
            ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ] {
            assert!(!known.fail(at(first)).unwrap().refused, "{first}");
            assert!(known.fail(at(second)).unwrap().refused, "{second}");
            assert!(known.is_blocked(at(first)) && known.is_blocked(at(second)));
            assert!(!known.is_blocked(at(other)), "{other}");
        }
    }

    #[test]
    fn however_many_addresses_fail_few_are_remembered() {
        let known = addresses(100);
        for number in 0..10_000u32 {
            known.fail(Ipv4Addr::from_bits(number).into());
        }
        assert_eq!(known.known().len(), 101);
        // Those that were there first have their own count; all others share one, which is used up.
        assert!(!known.is_blocked(at("0.0.0.1")));
        assert!(known.is_blocked(at("198.51.100.1")));
    }

    #[tokio::test]
    async fn guesses_from_blocked_addresses_wait_for_each_other() {
        let known = addresses(MOST);
        let (blocked, free) = (at("192.0.2.1"), at("192.0.2.2"));
        known.fail(blocked);
        known.fail(blocked);
        let held = [known.turn(blocked).await, known.turn(blocked).await];
        assert!(held.iter().all(Option::is_some));
        let third = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(third, known.turn(blocked))
                .await
                .is_err()
        );
        assert!(known.turn(free).await.is_none(), "it needs none");
        drop(held);
        assert!(known.turn(blocked).await.is_some());
    }
}
