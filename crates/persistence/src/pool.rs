//! Connections to PostgreSQL: those of each thread that serves requests, and those that all threads share.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, Pool, RecycleError, RecycleResult, TimeoutType};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, pooled_connection::PoolableConnection as _,
};
use tokio::time::timeout;

use crate::{
    Error, Result,
    connector::Connector,
    instruments::{self, InUse},
    spans::SqlSpans,
};

type Taken = Object<Manager>;
type PoolError = managed::PoolError<Error>;

/// Connections that are shared, if there are so many.
const MIN_SHARED: usize = 4;
/// A thread with fewer than this has none: a request may need two at the same time.
const MIN_OWN: usize = 2;
/// How long a request waits for a connection of its thread, before a free one of those that are shared will do. In a burst
/// those of the thread are soon free again, and one that another thread drives costs more than that wait.
const OWN_WAIT: Duration = Duration::from_millis(100);

thread_local! {
    /// Connections that this thread has for itself.
    static OWN: RefCell<Option<Pool<Manager>>> = const { RefCell::new(None) };
}

/// A connection taken from a pool.
pub struct Connection {
    taken: Taken,
    _in_use: InUse,
}

impl Deref for Connection {
    type Target = Opened;
    fn deref(&self) -> &Opened {
        &self.taken
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Opened {
        &mut self.taken
    }
}

/// Settings of the pools.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Maximum connections of the process.
    pub size: usize,
    /// Threads that serve requests.
    pub threads: usize,
    /// How long a request waits for a free connection.
    pub wait: Duration,
    /// Maximum duration of a statement in a tenant's transaction, and of a pause between two of them.
    pub statement_timeout: Duration,
    /// Whether every statement gets a span.
    pub spans: bool,
}

impl PoolSettings {
    /// Connections of each thread that serves requests.
    fn own(&self) -> usize {
        let shared = MIN_SHARED.max(self.size / 2);
        let own = self.size.saturating_sub(shared) / self.threads.max(1);
        if own < MIN_OWN { 0 } else { own }
    }

    /// Connections that all threads share.
    fn shared(&self) -> usize {
        self.size - self.own() * self.threads
    }

    /// Statements that set the time limits of a transaction. Those of a connection would reach other clients of a pooler.
    fn limits(&self) -> String {
        format!(
            "SET LOCAL statement_timeout = {0}; SET LOCAL idle_in_transaction_session_timeout = {0}",
            self.statement_timeout.as_millis()
        )
    }
}

/// The pools of a process.
///
/// A connection is driven by the runtime of the thread that has opened it. A request that uses another thread's
/// connection wakes that thread for every statement, and is woken by it.
pub struct Pools {
    connector: Arc<Connector>,
    settings: PoolSettings,
    limits: String,
    shared: Pool<Manager>,
}

impl Pools {
    /// Creates the shared pool. It connects when it is first used.
    pub fn new(url: &str, settings: &PoolSettings) -> Result<Self> {
        let connector = Arc::new(Connector::new(url)?);
        Ok(Self {
            shared: pool(&connector, settings, settings.shared())?,
            limits: settings.limits(),
            settings: settings.clone(),
            connector,
        })
    }

    /// What opens connections outside of the pools.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Statements that set the time limits of a transaction.
    pub fn limits(&self) -> &str {
        &self.limits
    }

    /// Gives this thread its own connections, which are used before the shared ones.
    pub fn use_own(&self) -> Result<()> {
        let own = match self.settings.own() {
            0 => None,
            size => Some(pool(&self.connector, &self.settings, size)?),
        };
        OWN.set(own);
        Ok(())
    }

    /// Takes a connection.
    pub async fn get(&self) -> Result<Connection> {
        let since = Instant::now();
        let taken = match OWN.with_borrow(Clone::clone) {
            Some(own) => self.own_or_shared(&own).await,
            None => self.shared.get().await,
        };
        let taken = taken.map_err(|error| {
            instruments::count_timeout();
            Error::Unavailable(error.to_string())
        })?;
        Ok(Connection {
            taken,
            _in_use: InUse::after(since.elapsed()),
        })
    }

    /// Takes one of this thread, or a shared one if they are all busy for long.
    async fn own_or_shared(&self, own: &Pool<Manager>) -> std::result::Result<Taken, PoolError> {
        let status = own.status();
        if status.size < status.max_size {
            // It connects, which is not to be given up.
            return own.get().await;
        }
        let mut if_free = self.shared.timeouts();
        if_free.wait = Some(Duration::ZERO);
        let own_wait = OWN_WAIT.min(self.settings.wait / 2);
        let mut own = pin!(own.get());
        loop {
            if let Ok(taken) = timeout(own_wait, &mut own).await {
                return taken;
            }
            // All of them are busy with statements that take long. It keeps its place among those that wait for one.
            match self.shared.timeout_get(&if_free).await {
                Err(PoolError::Timeout(TimeoutType::Wait)) => {}
                taken => return taken,
            }
        }
    }
}

fn pool(connector: &Arc<Connector>, settings: &PoolSettings, size: usize) -> Result<Pool<Manager>> {
    let manager = Manager {
        connector: Arc::clone(connector),
        spans: settings.spans,
    };
    Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(settings.wait))
        .create_timeout(Some(settings.wait))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|error| Error::Unavailable(error.to_string()))
}

/// Opens the connections of a pool.
pub struct Manager {
    connector: Arc<Connector>,
    spans: bool,
}

/// A connection, and what it has prepared.
pub struct Opened {
    connection: AsyncPgConnection,
    /// Whether it has prepared the insertion of an audit event.
    pub(crate) audit_is_prepared: bool,
}

impl Deref for Opened {
    type Target = AsyncPgConnection;
    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Opened {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl managed::Manager for Manager {
    type Type = Opened;
    type Error = Error;

    async fn create(&self) -> Result<Opened> {
        let mut connection = self.connector.connect().await?;
        if self.spans {
            connection.set_instrumentation(SqlSpans::default());
        }
        Ok(Opened {
            connection,
            audit_is_prepared: false,
        })
    }

    /// A query that checks the connection at every checkout would double the cost of a point read.
    async fn recycle(&self, opened: &mut Opened, _: &Metrics) -> RecycleResult<Error> {
        match opened.is_broken() {
            true => Err(RecycleError::message("broken")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pools_have_as_many_connections_as_the_setting_allows() {
        for (size, threads, own, shared) in [
            (24, 2, 6, 12),
            (24, 4, 3, 12),
            (24, 8, 0, 24),
            (48, 8, 3, 24),
            (8, 1, 4, 4),
            (5, 1, 0, 5),
            (1, 2, 0, 1),
        ] {
            let settings = PoolSettings {
                size,
                threads,
                wait: Duration::ZERO,
                statement_timeout: Duration::ZERO,
                spans: false,
            };
            assert_eq!((settings.own(), settings.shared()), (own, shared), "{size}");
        }
    }
}
