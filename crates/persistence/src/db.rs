//! The database and the tenant transaction.

use std::{
    ops::{Deref, DerefMut},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use diesel::{
    OptionalExtension as _, QueryableByName,
    sql_types::{Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use futures_util::{FutureExt as _, StreamExt as _, future::join, poll};
use patchbay_domain::TenantId;
use tokio::task::unconstrained;

use crate::{
    Connector, Error, Result,
    connector::Route,
    jobs::{self, Claim},
    pool::{Connection, PoolSettings, Pools},
    prepared::Prepare as _,
};

/// PostgreSQL reports success for a COMMIT that rolled back after an error; a SET fails in such a transaction.
const LEAVE: &str = "SET LOCAL app.tenant_id = ''";

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pools: Arc<Pools>,
    /// What reaches PostgreSQL directly, for notifications.
    direct: Arc<Connector>,
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
struct Encryption {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct CurrentTenant {
    #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
    tenant: Option<String>,
}

impl Db {
    /// The database at `url`, which may be that of a pooler: notifications then need a `direct` one. Connects when first
    /// used.
    pub fn new(url: &str, direct: Option<&str>, settings: &PoolSettings) -> Result<Self> {
        Ok(Self {
            pools: Arc::new(Pools::new(url, settings)?),
            direct: Arc::new(Connector::new(direct.unwrap_or(url))?),
            claim: None,
        })
    }

    /// Gives this thread, which serves requests, its share of the connections for itself.
    pub fn use_own_connections(&self) -> Result<()> {
        self.pools.use_own()
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
        self.pools.get().await
    }

    /// A transaction that sees only the rows of `tenant`.
    pub async fn begin(&self, tenant: TenantId) -> Result<TenantTx> {
        let connection = self.connection().await?;
        let limits = self.pools.limits();
        // The uuid is typed, so there is nothing to escape.
        let enter = format!("SET LOCAL app.tenant_id = '{}'; {limits}", tenant.uuid());
        send(&connection, "BEGIN");
        send(&connection, &enter);
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

    /// The version of TLS that connections have, if they are encrypted.
    pub async fn encryption(&self) -> Result<Option<String>> {
        let mut connection = self.connection().await?;
        let found: Option<Encryption> = diesel::sql_query(
            "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl",
        )
        .get_result(&mut connection)
        .await
        .optional()?;
        Ok(found.map(|found| found.version))
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

    /// How connections for work reach PostgreSQL.
    pub async fn route(&self) -> Result<Route> {
        self.pools.connector().route().await
    }

    /// How the connection for notifications reaches PostgreSQL.
    pub async fn route_of_notifications(&self) -> Result<Route> {
        self.direct.route().await
    }

    /// A dedicated connection that listens for due jobs.
    pub async fn listen(&self) -> Result<Listener> {
        let mut connection = self.direct.connect().await?;
        connection.batch_execute("LISTEN patchbay_jobs").await?;
        Ok(Listener(connection))
    }
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
/// tenant transaction costs one round trip instead of three. It fails safe: if `BEGIN` or `SET LOCAL` fails, later
/// statements are aborted or see no tenant's rows.
fn send(connection: &Connection, statement: &str) {
    let mut connection: &AsyncPgConnection = connection;
    let _ = connection.batch_execute(statement).now_or_never();
}

/// Commits. Both statements are sent at once, and apart: Citus passes the whole text of a `SET LOCAL` on to the other nodes,
/// which would commit before this one.
async fn leave_and_commit(connection: &AsyncPgConnection) -> Result<()> {
    let (mut to_leave, mut to_commit) = (connection, connection);
    let both = join(
        to_leave.batch_execute(LEAVE),
        to_commit.batch_execute("COMMIT"),
    );
    let (left, committed) = unconstrained(both).await;
    left?;
    Ok(committed?)
}

/// A transaction in which one tenant's rows are visible. Dropped without being committed or
/// [finished](TenantTx::finish), it rolls back.
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
                .prepared()
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
        leave_and_commit(&self.connection).await?;
        self.open = false;
        Ok(())
    }

    /// Commits right behind the statement of `last`, whose result is not needed before. If one fails, so does the other.
    ///
    /// The statement must be prepared, so that the first poll sends it: behind COMMIT it would be refused, and the change be
    /// made without it.
    pub(crate) async fn commit_behind(
        mut self,
        last: impl AsyncFnOnce(&AsyncPgConnection) -> Result<()>,
    ) -> Result<()> {
        let connection: &AsyncPgConnection = &self.connection;
        // Tokio's budget of a task could end before the statement is sent.
        let mut last = pin!(unconstrained(last(connection)));
        match poll!(last.as_mut()) {
            Poll::Ready(done) => {
                done?;
                leave_and_commit(connection).await?;
            }
            Poll::Pending => {
                let (done, committed) = join(last, leave_and_commit(connection)).await;
                done?;
                committed?;
            }
        }
        self.open = false;
        Ok(())
    }

    /// Whether COMMIT may be sent right behind the insertion of an audit event: that is prepared, and no claim has to be looked
    /// at in between.
    pub(crate) fn can_commit_behind_audit(&self) -> bool {
        self.claim.is_none() && self.connection.audit_is_prepared
    }

    /// Records that the insertion of an audit event is prepared.
    pub(crate) fn audit_is_prepared(&mut self) {
        self.connection.audit_is_prepared = true;
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
        // The same as COMMIT, whose result is awaited: spans tell them apart.
        send(&self.connection, "END");
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
