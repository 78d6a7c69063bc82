//! Rate limits, and the purge of what has aged out.

use std::time::Duration;

use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use serde_json::json;

use super::support::{Answer, TestApp, eventually};

const KEY: &str = "--key-limits=reads=4,writes=1000,starts=2";
const TENANT: &str = "--tenant-limits=reads=6,writes=1000,starts=1000";

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_limit_and_its_answers_say_so() {
    let app = TestApp::start_with(&[KEY, TENANT]).await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let path = ours.at("agents");
    let first = ours.admin.get(&path).await;
    let policy = "\"key-reads\";q=4;w=60, \"tenant-reads\";q=6;w=60";
    assert_eq!(first.header("ratelimit-policy"), policy);
    let left = "\"key-reads\";r=3;t=15, \"tenant-reads\";r=5;t=10";
    assert_eq!(first.header("ratelimit"), left);
    for _ in 0..3 {
        ours.admin.get(&path).await.expect(200);
    }
    let refused = ours.admin.get(&path).await;
    assert!((10..=15).contains(&retry_after(&refused)), "{refused:?}");
    assert!(
        refused
            .header("ratelimit")
            .starts_with("\"key-reads\";r=0;t=1")
    );
    refused.expect_error(429, "rate_limited");
    // Another class, another tenant, and the installation's own keys are not affected.
    let made = ours.admin.post(&path, &json!({ "name": "b" })).await;
    assert!(made.header("ratelimit").contains("\"key-writes\";"));
    made.expect(201);
    theirs.admin.get(&theirs.at("agents")).await.expect(200);
    app.operator().get("/api/tenants").await.expect(200);
    // Another key of the tenant has a limit of its own, within the tenant's.
    let reader = app.key(&ours.tenant, &["agents:read"]).await;
    reader.get(&path).await.expect(200);
    let refused = reader.get(&path).await.expect_error(429, "rate_limited");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("tenant-reads allows 6")
    );
    // Starts are a class of their own.
    for _ in 0..2 {
        ours.session(false).await;
    }
    let body = json!({ "agent_id": ours.agent, "variables": { "company": "A" } });
    let refused = ours.admin.post(&ours.at("sessions"), &body).await;
    refused.expect_error(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_gives_a_tenant_limits_of_its_own() {
    let app = TestApp::start_with(&["--tenant-limits=reads=2,writes=1000,starts=1000"]).await;
    let fixture = app.tenant("acme").await;
    let path = format!("/api/tenants/{}", fixture.tenant);
    let patch = json!({ "limits": { "reads_per_minute": 5 } });
    fixture
        .admin
        .patch(&path, &patch)
        .await
        .expect_error(403, "operator_only");
    let patched = app.operator().patch(&path, &patch).await.expect(200);
    assert_eq!(patched["limits"]["reads_per_minute"], 5);
    assert!(patched["limits"]["writes_per_minute"].is_null());
    for _ in 0..5 {
        fixture.admin.get(&path).await.expect(200);
    }
    fixture
        .admin
        .get(&path)
        .await
        .expect_error(429, "rate_limited");
    let zero = json!({ "limits": { "reads_per_minute": 0 } });
    let refused = app.operator().patch(&path, &zero).await;
    assert_eq!(refused.violations()[0].0, "/limits/reads_per_minute");
    let cleared = app
        .operator()
        .patch(&path, &json!({ "limits": null }))
        .await;
    assert!(cleared.expect(200)["limits"]["reads_per_minute"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_share_a_limit() {
    let app = TestApp::start_with(&[KEY, "--processes=2"]).await;
    let fixture = app.tenant("acme").await;
    let answer = fixture.admin.get("/api/whoami").await;
    assert!(
        answer
            .header("ratelimit-policy")
            .starts_with("\"key-reads\";q=2;")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_keys_is_limited_by_address() {
    let settings = ["--address-limit=3", "--trusted-proxies=127.0.0.0/8"];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    fixture.admin.get("/api/whoami").await.expect(200);
    let unknown = "pb_0199a2f07c117a549d4e3b1f8f0f2f10_00";
    let from = |address: &str| {
        app.with_key(unknown)
            .with_header("x-forwarded-for", address)
    };
    for _ in 0..3 {
        from("192.0.2.1")
            .get("/api/whoami")
            .await
            .expect_error(401, "invalid_key");
    }
    let refused = from("192.0.2.1").get("/api/whoami").await;
    assert!(
        refused
            .header("ratelimit-policy")
            .starts_with("\"address-reads\";q=3")
    );
    assert!(retry_after(&refused) > 10);
    refused.expect_error(429, "rate_limited");
    from("192.0.2.2")
        .get("/api/whoami")
        .await
        .expect_error(401, "invalid_key");
    // A key in use is not locked out by strangers behind its address.
    let neighbour = fixture.admin.with_header("x-forwarded-for", "192.0.2.1");
    neighbour.get("/api/whoami").await.expect(200);
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_aged_out_is_purged() {
    let settings = [
        "--purge-interval=200ms",
        "--idempotency-retention=1s",
        "--webhook-retention=1s",
    ];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    let keyed = fixture.admin.with_header("idempotency-key", "k");
    let (path, body) = (fixture.at("agents"), json!({ "name": "b" }));
    let made = keyed.post(&path, &body).await;
    made.expect(201);
    let mut database = app.connect("DATABASE_URL").await;
    let events = "INSERT INTO webhook_events VALUES
        ('old', now() - interval '1 hour', '{}', now(), now()),
        ('waiting', now() - interval '1 hour', '{}', now() + interval '1 hour', NULL)";
    database.batch_execute(events).await.unwrap();
    eventually("the event is gone", Duration::from_secs(5), async || {
        let left = "SELECT count(*) AS count FROM webhook_events";
        let left: Count = diesel::sql_query(left)
            .get_result(&mut database)
            .await
            .unwrap();
        (left.count == 1).then_some(())
    })
    .await;
    // Once the key is forgotten, the request is a new one.
    eventually("the key is forgotten", Duration::from_secs(5), async || {
        let again = keyed.post(&path, &body).await;
        (again.status == 409).then(|| again.expect_error(409, "name_taken"))
    })
    .await;
}
