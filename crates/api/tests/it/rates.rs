//! Rate limits, and the purge of expired data.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use super::support::{Response, TestApp, count, eventually};

const KEY: &str = "--key-limits=reads=4,writes=1000,starts=2";
const TENANT: &str = "--tenant-limits=reads=6,writes=1000,starts=1000";

fn retry_after(answer: &Response) -> u64 {
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
    // Tool calls are of that class.
    let worker = app.key(&ours.tenant, &["worker"]).await;
    let path = format!("sessions/{0}/agent-runs/{0}/tools/find_order", ours.agent);
    let call = json!({ "arguments": {} });
    let missing = worker.post(&ours.at(&path), &call).await;
    assert!(
        missing
            .header("ratelimit")
            .starts_with("\"key-starts\";r=1;")
    );
    missing.expect_error(404, "not_found");
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
    // A key in use is not locked out by invalid requests from the same address.
    let neighbour = fixture.admin.with_header("x-forwarded-for", "192.0.2.1");
    neighbour.get("/api/whoami").await.expect(200);
}

/// A well-formed key that was never issued: the id of an existing key, or of none, with another secret.
fn guess(id: Option<&str>, number: u8) -> String {
    let id = id.map_or(uuid::Uuid::from_u128(number.into()), |id| {
        id.parse().unwrap()
    });
    patchbay_domain::api_key::format(patchbay_domain::ApiKeyId::new(id), &[number; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_right_is_never_refused_for_what_others_did() {
    let settings = [
        "--address-limit=2",
        "--trusted-proxies=127.0.0.0/8",
        "--key-limits=reads=5,writes=100,starts=100",
    ];
    let app = TestApp::start_with(&settings).await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let body = json!({ "name": "k", "scopes": ["agents:read"] });
    let made = app
        .operator()
        .post(&ours.at("keys"), &body)
        .await
        .expect(201);
    let victim = made["key"]["id"].as_str().unwrap();
    let from = |key: &str, address: &str| app.with_key(key).with_header("x-forwarded-for", address);
    for address in ["192.0.2.1", "2001:db8::1"] {
        // Well-formed, so that each has to be looked up; half of them with the id of a real key.
        let mut refused = 0;
        for number in 0..=120 {
            let id = (number % 2 == 0).then_some(victim);
            let guess = from(&guess(id, number), address);
            let answer = guess.get("/api/whoami").await;
            assert!(answer.status == 401 || answer.status == 429);
            refused += usize::from(answer.status == 429);
        }
        assert!(refused > 50, "{refused}");
    }
    // The first requests of a key that is not cached, during the guessing.
    let secret = made["secret"].as_str().unwrap();
    for (key, address) in [
        (secret, "192.0.2.1"),
        (secret, "2001:db8::2"),
        (&*theirs.key, "192.0.2.1"),
        (super::support::OPERATOR_KEY, "192.0.2.1"),
        (super::support::WORKER_KEY, "2001:db8::3"),
    ] {
        let flood = (0..20).map(|number| from(&guess(None, number), address));
        let flood: Vec<_> = flood.collect();
        let guesses = futures_util::future::join_all(flood.iter().map(|c| c.get("/api/whoami")));
        let client = from(key, address);
        let (guesses, answer) =
            futures_util::future::join(guesses, client.get("/api/whoami")).await;
        if key == secret && address == "192.0.2.1" {
            let left = answer.header("ratelimit").to_owned();
            assert!(
                left.starts_with("\"key-reads\";r=4;"),
                "a guess counted: {left}"
            );
        }
        answer.expect(200);
        for guess in guesses {
            assert!(guess.status == 401 || guess.status == 429);
        }
    }
    let client = from(secret, "192.0.2.9");
    let mut answer = client.get("/api/whoami").await;
    for _ in 0..20 {
        if answer.status == 200 {
            answer = client.get("/api/whoami").await;
        }
    }
    answer.expect_error(429, "rate_limited");
    // A key over its limit is not confused with guesses of it, and affects no other key.
    let wrong = from(&guess(Some(victim), 1), "192.0.2.9");
    wrong
        .get("/api/whoami")
        .await
        .expect_error(401, "invalid_key");
    ours.admin.get("/api/whoami").await.expect(200);
    theirs.admin.get("/api/whoami").await.expect(200);
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
    eventually("the event is gone", async || {
        let left = count(&mut database, "webhook_events").await;
        (left == 1).then_some(())
    })
    .await;
    // Once the idempotency key is purged, the request is a new one.
    eventually("the key is forgotten", async || {
        let again = keyed.post(&path, &body).await;
        (again.status == 409).then(|| again.expect_error(409, "name_taken"))
    })
    .await;
}
