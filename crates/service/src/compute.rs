//! CPU-bound work: templates, schemas, large request and response bodies. It never runs on a thread that serves
//! requests. Concurrency is limited to the number of processors, of which one tenant may use at most half.

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

/// Largest body in bytes that is parsed on the thread that serves the request.
pub const MAX_INLINE_BYTES: usize = 16_384;
/// Deadline of work that checks the clock; other work is bounded by the size of its input.
const MAX_DURATION: Duration = Duration::from_secs(2);
/// Longest time that work waits for a permit.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits the concurrency of CPU-bound work, in total and per tenant.
pub struct Compute {
    permits: Arc<Semaphore>,
    permits_per_tenant: usize,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

impl Compute {
    /// Creates one with as many permits as there are processors.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            permits: Arc::new(Semaphore::new(processors)),
            permits_per_tenant: (processors / 2).max(1),
            tenants: Mutex::default(),
        }
    }

    /// Waits for a permit and runs `work` under it.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: Option<TenantId>,
        work: impl FnOnce(Instant) -> T + Send + 'static,
    ) -> Result<T> {
        self.acquire(tenant).await?.run(work).await
    }

    /// Waits for a permit; fails with `unavailable` after ten seconds. For work within a transaction, acquire the
    /// permit before the transaction begins, so that no database connection is held while waiting.
    pub async fn acquire(&self, tenant: Option<TenantId>) -> Result<ComputePermit> {
        let permits = timeout(ACQUIRE_TIMEOUT, self.acquire_permits(tenant)).await;
        let permits = permits.map_err(|_| {
            let detail = "Too much work is waiting; try again in a moment.";
            Error::new(Code::Unavailable, detail)
        })??;
        Ok(ComputePermit {
            _permits: Arc::new(permits),
        })
    }

    /// Acquires a permit of the tenant and then one of the process. The order ensures that a tenant that waits
    /// for its own permits does not delay other tenants.
    async fn acquire_permits(&self, tenant: Option<TenantId>) -> Result<Permits> {
        let tenant_permit = match tenant {
            Some(tenant) => Some(acquire(self.tenant_semaphore(tenant)).await?),
            None => None,
        };
        Ok((tenant_permit, acquire(Arc::clone(&self.permits)).await?))
    }

    fn tenant_semaphore(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        // Semaphores without permits in use and without waiters are dropped, since a new one is equivalent.
        tenants.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let new = || Arc::new(Semaphore::new(self.permits_per_tenant));
        Arc::clone(tenants.entry(tenant).or_insert_with(new))
    }
}

type Permits = (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit);

/// A permit for CPU-bound work, released when all clones are dropped and the work under it has finished. Do not
/// acquire a second one while holding it: for a tenant with a single permit, that would be a deadlock.
#[derive(Clone)]
pub struct ComputePermit {
    _permits: Arc<Permits>,
}

impl ComputePermit {
    /// Runs `work`, which receives its deadline, on a blocking thread. A panic in it is returned as an error.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Instant) -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.clone();
        let task = spawn_blocking(move || {
            let output = work(Instant::now() + MAX_DURATION);
            drop(permit);
            output
        });
        task.await.map_err(Error::internal)
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
    async fn one_tenant_leaves_permits_to_others_and_a_panic_releases_its_own() {
        let clock = Clock::system();
        let compute = Arc::new(Compute {
            permits: Arc::new(Semaphore::new(2)),
            permits_per_tenant: 1,
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
