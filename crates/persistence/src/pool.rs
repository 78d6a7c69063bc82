//! Connections to PostgreSQL: those of each thread that serves requests, and those that all threads share.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    pin::pin,
    time::Duration,
};

use deadpool::managed::{self, Metrics, Object, Pool, RecycleError, RecycleResult, TimeoutType};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::PoolableConnection as _,
};
use tokio::time::timeout;

use crate::{Error, Result, spans::SqlSpans};

/// A connection taken from a pool.
pub type Connection = Object<Manager>;
type PoolError = managed::PoolError<ConnectionError>;

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

/// Settings of the pools.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Maximum connections of the process.
    pub size: usize,
    /// Threads that serve requests.
    pub threads: usize,
    /// How long a request waits for a free connection.
    pub wait: Duration,
    /// PostgreSQL's `statement_timeout`.
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
}

/// The pools of a process.
///
/// A connection is driven by the runtime of the thread that has opened it. A request that uses another thread's
/// connection wakes that thread for every statement, and is woken by it.
pub struct Pools {
    url: String,
    settings: PoolSettings,
    shared: Pool<Manager>,
}

impl Pools {
    /// Creates the shared pool. It connects when it is first used.
    pub fn new(url: &str, settings: &PoolSettings) -> Result<Self> {
        let url = with_network_limits(url);
        Ok(Self {
            shared: pool(&url, settings, settings.shared())?,
            settings: settings.clone(),
            url,
        })
    }

    /// The URL of the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Gives this thread its own connections, which are used before the shared ones.
    pub fn use_own(&self) -> Result<()> {
        let own = match self.settings.own() {
            0 => None,
            size => Some(pool(&self.url, &self.settings, size)?),
        };
        OWN.set(own);
        Ok(())
    }

    /// Takes a connection.
    pub async fn get(&self) -> Result<Connection> {
        let unavailable = |error: PoolError| Error::Unavailable(error.to_string());
        let Some(pool) = OWN.with_borrow(Clone::clone) else {
            return self.shared.get().await.map_err(unavailable);
        };
        let status = pool.status();
        if status.size < status.max_size {
            // It connects, which is not to be given up.
            return pool.get().await.map_err(unavailable);
        }
        let mut if_free = self.shared.timeouts();
        if_free.wait = Some(Duration::ZERO);
        let own_wait = OWN_WAIT.min(self.settings.wait / 2);
        let mut own = pin!(pool.get());
        loop {
            if let Ok(taken) = timeout(own_wait, &mut own).await {
                return taken.map_err(unavailable);
            }
            // All of them are busy with statements that take long. It keeps its place among those that wait for one.
            match self.shared.timeout_get(&if_free).await {
                Err(PoolError::Timeout(TimeoutType::Wait)) => {}
                taken => return taken.map_err(unavailable),
            }
        }
    }
}

fn pool(url: &str, settings: &PoolSettings, size: usize) -> Result<Pool<Manager>> {
    let setup = format!(
        "SET statement_timeout = {0}; SET idle_in_transaction_session_timeout = {0}",
        settings.statement_timeout.as_millis()
    );
    let manager = Manager {
        url: url.to_owned(),
        setup,
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
    url: String,
    /// Statements that each connection begins with.
    setup: String,
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
    type Error = ConnectionError;

    async fn create(&self) -> ConnectionResult<Opened> {
        let mut connection = AsyncPgConnection::establish(&self.url).await?;
        connection
            .batch_execute(&self.setup)
            .await
            .map_err(ConnectionError::CouldntSetupConfiguration)?;
        if self.spans {
            connection.set_instrumentation(SqlSpans::default());
        }
        Ok(Opened {
            connection,
            audit_is_prepared: false,
        })
    }

    /// A query that checks the connection at every checkout would double the cost of a point read.
    async fn recycle(&self, opened: &mut Opened, _: &Metrics) -> RecycleResult<ConnectionError> {
        match opened.is_broken() {
            true => Err(RecycleError::message("broken")),
            false => Ok(()),
        }
    }
}

/// Detects an unreachable server within seconds, unless the URL has other settings.
fn with_network_limits(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in [
        ("connect_timeout", "5"),
        ("tcp_user_timeout", "10"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_retries", "2"),
    ] {
        if !url.contains(name) {
            let mark = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{mark}{name}={value}");
        }
    }
    url
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
