//! The pool and the tenant transaction.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use diesel::{
    ConnectionError, ConnectionResult, OptionalExtension as _, QueryableByName,
    sql_types::{Bool, Text},
};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
};
use futures_util::{FutureExt as _, StreamExt as _};
use patchbay_domain::TenantId;

use crate::{Error, Result, spans::SqlSpans};

/// A connection taken from the pool.
pub type Connection = Object<AsyncPgConnection>;

/// How the pool behaves.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Most connections at a time.
    pub size: usize,
    /// How long a request waits for a free connection.
    pub wait: Duration,
    /// PostgreSQL's `statement_timeout`.
    pub statement_timeout: Duration,
    /// Whether every statement gets a span.
    pub spans: bool,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    url: String,
}

#[derive(QueryableByName)]
struct Role {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    bypasses: bool,
}

#[derive(QueryableByName)]
struct CurrentTenant {
    #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
    tenant: Option<String>,
}

impl Db {
    /// A pool for the database at `url`. Connects when first used.
    pub fn new(url: &str, settings: &PoolSettings) -> Result<Self> {
        let setup = format!(
            "SET statement_timeout = {0}; SET idle_in_transaction_session_timeout = {0}",
            settings.statement_timeout.as_millis()
        );
        let mut config = ManagerConfig::default();
        // Asking the server at every checkout would double the cost of a point read.
        config.recycling_method = RecyclingMethod::Fast;
        let spans = settings.spans;
        config.custom_setup = Box::new(move |url| connect(url, setup.clone(), spans).boxed());
        let url = with_network_limits(url);
        let manager = AsyncDieselConnectionManager::new_with_config(&url, config);
        let pool = Pool::builder(manager)
            .max_size(settings.size)
            .wait_timeout(Some(settings.wait))
            .create_timeout(Some(settings.wait))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok(Self { pool, url })
    }

    /// A connection without a tenant: lookup tables only, row-level security hides the rest.
    pub async fn connection(&self) -> Result<Connection> {
        self.pool
            .get()
            .await
            .map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// A transaction that sees the rows of `tenant` alone.
    pub async fn begin(&self, tenant: TenantId) -> Result<TenantTx> {
        let connection = self.connection().await?;
        // The uuid is typed, so there is nothing to escape.
        let open = format!("BEGIN; SET LOCAL app.tenant_id = '{}'", tenant.uuid());
        send(&connection, &open);
        Ok(TenantTx {
            connection,
            tenant,
            open: true,
        })
    }

    /// The name of the role if it bypasses row-level security.
    pub async fn bypassing_role(&self) -> Result<Option<String>> {
        let mut connection = self.connection().await?;
        let role: Option<Role> = diesel::sql_query(
            "SELECT rolname::text AS name, rolsuper OR rolbypassrls AS bypasses
             FROM pg_roles WHERE rolname = current_user",
        )
        .get_result(&mut connection)
        .await
        .optional()?;
        Ok(role.filter(|role| role.bypasses).map(|role| role.name))
    }

    /// Asks the server for a sign of life.
    pub async fn ping(&self) -> Result<()> {
        self.connection().await?.batch_execute("SELECT 1").await?;
        Ok(())
    }

    /// A connection of its own that hears when a job is due.
    pub async fn listen(&self) -> Result<Listener> {
        let mut connection = AsyncPgConnection::establish(&self.url)
            .await
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        connection.batch_execute("LISTEN patchbay_jobs").await?;
        Ok(Listener(connection))
    }
}

/// A server that is gone without a word is noticed within seconds, unless the URL says otherwise.
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

async fn connect(url: &str, setup: String, spans: bool) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = AsyncPgConnection::establish(url).await?;
    connection
        .batch_execute(&setup)
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    if spans {
        connection.set_instrumentation(SqlSpans::default());
    }
    Ok(connection)
}

/// Hears notifications about jobs.
pub struct Listener(AsyncPgConnection);

impl Listener {
    /// Waits for the next notification; `None` when the connection is gone.
    pub async fn next(&mut self) -> Option<()> {
        let mut stream = std::pin::pin!(self.0.notifications_stream());
        stream.next().await.and_then(|note| note.ok()).map(|_| ())
    }
}

/// Puts a statement on the wire without waiting for its answer.
///
/// One poll hands it to the connection, which works in order; the answer is dropped when it comes.
/// This is how a read in a tenant transaction costs one round trip instead of three. It fails
/// safe: should `BEGIN; SET LOCAL` fail, what follows runs aborted or sees no tenant's row.
fn send(connection: &Connection, statement: &str) {
    let mut connection: &AsyncPgConnection = connection;
    let _ = connection.batch_execute(statement).now_or_never();
}

/// A transaction in which one tenant's rows are visible. Dropped without [`TenantTx::commit`] or
/// [`TenantTx::finish`], it rolls back.
pub struct TenantTx {
    connection: Connection,
    tenant: TenantId,
    open: bool,
}

impl TenantTx {
    /// Whose rows are visible.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Shows the rows of another tenant from here on: for what makes a tenant.
    pub async fn enter(&mut self, tenant: TenantId) -> Result<()> {
        if tenant != self.tenant {
            let set = format!("SET LOCAL app.tenant_id = '{}'", tenant.uuid());
            self.connection.batch_execute(&set).await?;
            self.tenant = tenant;
        }
        Ok(())
    }

    /// Makes sure that the tenant's rows are in sight: for what acts upon a row's absence.
    pub async fn verify_tenant(&mut self) -> Result<VerifiedTenant> {
        let current: CurrentTenant =
            diesel::sql_query("SELECT current_setting('app.tenant_id', true) AS tenant")
                .get_result(&mut self.connection)
                .await?;
        match current.tenant == Some(self.tenant.to_string()) {
            true => Ok(VerifiedTenant(self.tenant)),
            false => Err(Error::Unavailable(
                "the transaction sees no tenant".to_owned(),
            )),
        }
    }

    /// Makes the changes durable; returns when PostgreSQL has said so.
    pub async fn commit(mut self) -> Result<()> {
        self.open = false;
        // PostgreSQL answers COMMIT with success where it rolled back after an error; a SET does
        // not get through in such a transaction.
        let commit = "SET LOCAL app.tenant_id = ''; COMMIT";
        self.connection.batch_execute(commit).await?;
        Ok(())
    }

    /// Keeps nothing, and returns when the locks are free for whoever asks next.
    pub async fn roll_back(mut self) {
        self.open = false;
        // A connection that does not take it is gone, and its locks with it.
        let _ = self.connection.batch_execute("ROLLBACK").await;
    }

    /// Ends a transaction that only read, without waiting.
    pub fn finish(mut self) {
        self.open = false;
        send(&self.connection, "COMMIT");
    }
}

/// Proof that a transaction had this tenant's rows in sight, so that a row it did not find is absent. Only
/// [`TenantTx::verify_tenant`] makes one; what deletes because of an absence asks for it.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedTenant(TenantId);

impl VerifiedTenant {
    /// Whose rows were in sight.
    pub const fn tenant(self) -> TenantId {
        self.0
    }
}

impl Drop for TenantTx {
    fn drop(&mut self) {
        if self.open {
            send(&self.connection, "ROLLBACK");
        }
    }
}

impl Deref for TenantTx {
    type Target = AsyncPgConnection;
    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for TenantTx {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}
