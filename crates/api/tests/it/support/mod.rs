//! The test harness: an app with a schema of its own for every test.

mod app;
mod client;
mod document;
mod exchange;
mod fake_livekit;
mod fixture;
mod process;
mod provider;
mod s3;
mod schema;
mod signed;
mod upstream;

pub use app::{
    OPERATOR_KEY, TestApp, WORKER_KEY, arguments, environment, in_schema, install_crypto, livekit,
    model, optional,
};
pub use client::{Client, ORIGIN, Response};
pub use document::{check, document, example, operations};
pub use exchange::Callee;
pub use fake_livekit::{FakeLiveKit, Fault};
pub use fixture::{Fixture, id};
pub use process::{Process, free_port};
pub use provider::{Provider, ProviderFault};
pub use s3::{S3, StoreFault};
pub use schema::make_schema;
pub use signed::{deliver, deliver_with, event, now, sign, sign_with};
pub use upstream::Upstream;

use std::time::{Duration, Instant};

use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

/// How long tests wait for an event before they fail. It is far above what anything takes, also on a machine that is
/// busy with other work: a test waits for events, and this only ends one that waits in vain.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The number of rows; `what` follows `FROM`.
pub async fn count(database: &mut AsyncPgConnection, what: &str) -> i64 {
    let query = format!("SELECT count(*) AS count FROM {what}");
    let row: Count = diesel::sql_query(query).get_result(database).await.unwrap();
    row.count
}

/// Polls until there is a result.
pub async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}
