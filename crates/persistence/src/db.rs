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

use crate::{
    Error, Result,
    jobs::{self, Claim},
    spans::SqlSpans,
};

/// A connection taken from the pool.
pub type Connection = Object<AsyncPgConnection>;

/// Settings of the pool.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Maximum connections.
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
    claim: Option<Claim>,
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
        // A check query at every checkout would double the cost of a point read.
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
        Ok(Self {
            pool,
            url,
            claim: None,
        })
    }

    /// The same database, on behalf of a job, or of none: its transactions commit only while the claim is held.
    pub fn under_claim(&self, claim: Option<Claim>) -> Self {
        Self {
            claim,
            ..self.clone()
        }
    }

    /// A connection without a tenant: only lookup tables are readable, row-level security hides the rest.
    pub async fn connection(&self) -> Result<Connection> {
        self.pool
            .get()
            .await
            .map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// A transaction that sees only the rows of `tenant`.
    pub async fn begin(&self, tenant: TenantId) -> Result<TenantTx> {
        let connection = self.connection().await?;
        // The uuid is typed, so there is nothing to escape.
        let open = format!("BEGIN; SET LOCAL app.tenant_id = '{}'", tenant.uuid());
        send(&connection, &open);
        Ok(TenantTx {
            connection,
            tenant,
            claim: self.claim,
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

    /// Checks that the server responds.
    pub async fn ping(&self) -> Result<()> {
        self.connection().await?.batch_execute("SELECT 1").await?;
        Ok(())
    }

    /// For tests: waits while one holds the advisory lock of the schema.
    #[cfg(feature = "fault-injection")]
    pub async fn pass_barrier(&self) -> Result<()> {
        let barrier = "SELECT pg_advisory_xact_lock(hashtext(current_schema()))";
        Ok(self.connection().await?.batch_execute(barrier).await?)
    }

    /// A dedicated connection that listens for due jobs.
    pub async fn listen(&self) -> Result<Listener> {
        let mut connection = AsyncPgConnection::establish(&self.url)
            .await
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        connection.batch_execute("LISTEN patchbay_jobs").await?;
        Ok(Listener(connection))
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

/// Receives notifications about jobs.
pub struct Listener(AsyncPgConnection);

impl Listener {
    /// Waits for the next notification; `None` when the connection is gone.
    pub async fn next(&mut self) -> Option<()> {
        let mut stream = std::pin::pin!(self.0.notifications_stream());
        stream.next().await.and_then(|note| note.ok()).map(|_| ())
    }
}

/// Sends a statement without waiting for its result.
///
/// One poll hands it to the connection, which executes statements in order; the result is dropped. So a read in a
/// tenant transaction costs one round trip instead of three. It fails safe: if `BEGIN; SET LOCAL` fails, later
/// statements are aborted or see no tenant's rows.
fn send(connection: &Connection, statement: &str) {
    let mut connection: &AsyncPgConnection = connection;
    let _ = connection.batch_execute(statement).now_or_never();
}

/// A transaction in which one tenant's rows are visible. Dropped without [`TenantTx::commit`] or
/// [`TenantTx::finish`], it rolls back.
pub struct TenantTx {
    connection: Connection,
    tenant: TenantId,
    claim: Option<Claim>,
    open: bool,
}

impl TenantTx {
    /// The tenant whose rows are visible.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Switches to the rows of another tenant, for the creation of tenants.
    pub async fn enter(&mut self, tenant: TenantId) -> Result<()> {
        if tenant != self.tenant {
            let set = format!("SET LOCAL app.tenant_id = '{}'", tenant.uuid());
            self.connection.batch_execute(&set).await?;
            self.tenant = tenant;
        }
        Ok(())
    }

    /// Checks that the tenant's rows are visible, before acting on the absence of a row.
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

    /// Commits; returns when PostgreSQL has confirmed it. On behalf of a job that has lost its claim it fails.
    pub async fn commit(mut self) -> Result<()> {
        if let Some(claim) = self.claim
            && !jobs::hold(&mut self.connection, &claim).await?
        {
            return Err(Error::ClaimLost);
        }
        self.open = false;
        // PostgreSQL reports success for a COMMIT that rolled back after an error; a SET fails in such a
        // transaction.
        let commit = "SET LOCAL app.tenant_id = ''; COMMIT";
        self.connection.batch_execute(commit).await?;
        Ok(())
    }

    /// Rolls back; returns when the locks are released.
    pub async fn roll_back(mut self) {
        self.open = false;
        // If this fails the connection is gone, and its locks with it.
        let _ = self.connection.batch_execute("ROLLBACK").await;
    }

    /// Ends a read-only transaction without waiting.
    pub fn finish(mut self) {
        self.open = false;
        send(&self.connection, "COMMIT");
    }
}

/// Proof that the rows of this tenant were visible, so that a row that was not found does not exist. Only
/// [`TenantTx::verify_tenant`] creates one; functions that delete because of an absence require it.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedTenant(TenantId);

impl VerifiedTenant {
    /// The tenant whose rows were visible.
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
