//! Work that keeps a processor busy for more than a moment: templates, schemas, large bodies and answers.
//! It never runs on a thread that serves requests, there is no more of it at once than there are
//! processors, and one tenant has half of them at most.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use patchbay_domain::TenantId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use crate::{Code, Error, Result};

/// Bytes of a body or an answer that are read or written where they are.
pub const SMALL: usize = 16_384;
/// How long work may take that looks at the clock; what does not is bounded by the size of its input.
const LONGEST: Duration = Duration::from_secs(2);
/// How long work waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where such work runs.
pub struct Compute {
    turns: Arc<Semaphore>,
    share: usize,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

impl Compute {
    /// As much at once as there are processors.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            turns: Arc::new(Semaphore::new(processors)),
            share: (processors / 2).max(1),
            tenants: Mutex::default(),
        }
    }

    /// Waits for a turn and does `work` in it.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: Option<TenantId>,
        work: impl FnOnce(Instant) -> T + Send + 'static,
    ) -> Result<T> {
        self.turn(tenant).await?.run(work).await
    }

    /// Waits for a turn; where too much is waiting, the answer is `unavailable`. What is worked out within a
    /// transaction takes its turn before it: whoever waits for one holds no connection.
    pub async fn turn(&self, tenant: Option<TenantId>) -> Result<Turn> {
        let permits = timeout(PATIENCE, self.permits(tenant)).await;
        let permits = permits.map_err(|_| {
            let detail = "Too much work is waiting; try again in a moment.";
            Error::new(Code::Unavailable, detail)
        })??;
        Ok(Turn {
            _permits: Arc::new(permits),
        })
    }

    /// One of the tenant's and one of the process's, in this order, so that a tenant that waits for itself
    /// keeps nobody else waiting.
    async fn permits(&self, tenant: Option<TenantId>) -> Result<Permits> {
        let own = match tenant {
            Some(tenant) => Some(acquire(self.of(tenant)).await?),
            None => None,
        };
        Ok((own, acquire(Arc::clone(&self.turns)).await?))
    }

    fn of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // A semaphore that nobody holds or waits for is as good as a new one.
        tenants.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let new = || Arc::new(Semaphore::new(self.share));
        Arc::clone(tenants.entry(tenant).or_insert_with(new))
    }
}

type Permits = (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit);

/// Somebody's turn: it ends when it is dropped and nothing is done in it any more. Whoever has one asks for
/// no other: where a tenant has but one at a time, it would wait for itself.
#[derive(Clone)]
pub struct Turn {
    _permits: Arc<Permits>,
}

impl Turn {
    /// Does `work`, which is told when it must be done. A panic is an error of this work alone.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Instant) -> T + Send + 'static,
    ) -> Result<T> {
        let turn = self.clone();
        let worked = spawn_blocking(move || {
            let done = work(Instant::now() + LONGEST);
            drop(turn);
            done
        });
        worked.await.map_err(Error::internal)
    }
}

async fn acquire(semaphore: Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    semaphore.acquire_owned().await.map_err(Error::internal)
}

impl Default for Compute {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use patchbay_domain::Clock;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_tenant_leaves_turns_to_others_and_a_panic_frees_its_own() {
        let clock = Clock::system();
        let compute = Arc::new(Compute {
            turns: Arc::new(Semaphore::new(2)),
            share: 1,
            tenants: Mutex::default(),
        });
        let (busy, other): (TenantId, TenantId) = (clock.new_id(), clock.new_id());
        let (end, ended) = mpsc::channel::<()>();
        let held = tokio::spawn({
            let compute = Arc::clone(&compute);
            async move { compute.run(Some(busy), move |_| ended.recv()).await }
        });
        let waiting = tokio::spawn({
            let compute = Arc::clone(&compute);
            async move { compute.run(Some(busy), |_| 2).await.unwrap() }
        });
        assert_eq!(compute.run(Some(other), |_| 1).await.unwrap(), 1);
        assert!(!waiting.is_finished());
        end.send(()).unwrap();
        held.await.unwrap().unwrap().unwrap();
        assert_eq!(waiting.await.unwrap(), 2);
        let panicked = compute.run(Some(busy), |_| panic!("on purpose")).await;
        assert!(panicked.is_err());
        assert_eq!(compute.run(Some(busy), |_| 3).await.unwrap(), 3);
        assert!(compute.tenants.lock().unwrap().len() <= 2);
    }
}
