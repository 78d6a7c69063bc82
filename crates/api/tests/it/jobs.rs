//! Jobs as the operator sees them: every one has an end, and one that failed for good can be revived.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;

use super::support::{FakeLiveKit, Fault, Fixture, TestApp, count, eventually, id};

async fn jobs(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.operator().get(&format!("/api/jobs?{query}")).await;
    page.expect(200)["data"].as_array().unwrap().clone()
}

async fn only_job(app: &TestApp, query: &str) -> Value {
    eventually(query, async || {
        let mut jobs = jobs(app, query).await;
        assert!(jobs.len() < 2, "{jobs:?}");
        jobs.pop()
    })
    .await
}

async fn start(more: &[&str]) -> (FakeLiveKit, TestApp, Fixture) {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let mut settings = vec![&*url, "--start-deadline=60s", "--start-wait=100ms"];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    (fake, app, fixture)
}

/// Waits until the session's job is dead, once it counts as attempted very often.
async fn dies(app: &TestApp) -> Value {
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    eventually("it dies", async || {
        // Repeated, since a running job stores its own count.
        let often = "UPDATE jobs SET attempts = 10000 WHERE kind = 'session' AND dead_at IS NULL";
        database.batch_execute(often).await.unwrap();
        jobs(app, "state=dead").await.pop()
    })
    .await
}

async fn stop(fixture: &Fixture, session: &Value) {
    let path = fixture.at(&format!("sessions/{}/stop", id(session)));
    fixture.admin.act(&path).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_keeps_failing_dies_with_its_reason_and_can_be_revived() {
    let (fake, app, fixture) = start(&[]).await;
    let session = fixture.session(true).await;
    fake.set("DeleteRoom", Fault::Broken);
    stop(&fixture, &session).await;
    let failing = eventually("it fails", async || {
        let jobs = jobs(&app, "kind=session&state=waiting").await;
        jobs.into_iter().find(|job| job["error"].is_object())
    })
    .await;
    assert_eq!(failing["subject_id"], session["id"]);
    assert_eq!(failing["tenant_id"], *fixture.tenant);
    let dead = dies(&app).await;
    assert_eq!(dead["id"], failing["id"]);
    assert_eq!(dead["error"]["message"], "LiveKit answered 500 ");
    assert!(dead["dead_at"].is_string());

    fake.set("DeleteRoom", Fault::None);
    let retry = format!("/api/jobs/{}/retry", id(&dead));
    let retried = app.operator().act(&retry).await.expect(200);
    assert_eq!(
        (&retried["state"], &retried["attempts"]),
        (&"waiting".into(), &0.into())
    );
    eventually("its session ends", async || {
        (fixture.read(&session).await["state"] == "ended").then_some(())
    })
    .await;
    eventually("it is done", async || {
        jobs(&app, "kind=session").await.is_empty().then_some(())
    })
    .await;
    app.operator()
        .act(&retry)
        .await
        .expect_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_job_is_attempted_anew_when_its_subject_changes() {
    let (fake, app, fixture) = start(&[]).await;
    let session = fixture.session(true).await;
    fake.set("DeleteRoom", Fault::Broken);
    stop(&fixture, &session).await;
    dies(&app).await;
    stop(&fixture, &session).await;
    let revived = eventually("it is attempted", async || {
        let jobs = jobs(&app, "kind=session&state=waiting").await;
        jobs.into_iter()
            .find(|job| job["attempts"].as_i64() > Some(0))
    })
    .await;
    assert!(revived["attempts"].as_i64() < Some(100), "{revived}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_succeed_dies_at_once() {
    let (_, app, fixture) = start(&[]).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let session = fixture.session(true).await;
    let odd = format!(
        "ALTER TABLE agent_runs DROP CONSTRAINT agent_runs_state_check;
         SET app.tenant_id = '{}'; UPDATE agent_runs SET state = 'odd'",
        fixture.tenant
    );
    database.batch_execute(&odd).await.unwrap();
    let dead = only_job(&app, "state=dead").await;
    assert_eq!(dead["subject_id"], session["id"]);
    let why = dead["error"]["message"].as_str().unwrap();
    assert!(why.contains("state") && why.contains("odd"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_an_unknown_kind_dies_and_does_not_stop_the_others() {
    let app = TestApp::start_with(&["--reconcile-interval=200ms"]).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let unknown = "INSERT INTO jobs (kind, subject_id, run_at) VALUES
                   ('from_the_future', gen_random_uuid(), now() - interval '2 hours'),
                   ('from_tomorrow', gen_random_uuid(), now())";
    database.batch_execute(unknown).await.unwrap();
    let dead = only_job(&app, "state=dead").await;
    assert_eq!(dead["kind"], "from_the_future");
    assert_eq!(
        dead["error"]["message"],
        "this version knows no job of this kind"
    );
    // One that a newer version may just have scheduled is left to it.
    let fixture = app.tenant("acme").await;
    assert!(fixture.session(true).await["dispatched_at"].is_string());
    let waiting = jobs(&app, "state=waiting").await;
    assert!(
        waiting.iter().any(|job| job["kind"] == "from_tomorrow"),
        "{waiting:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_not_retried_beside_itself() {
    let (fake, app, fixture) = start(&["--livekit-timeout=60s"]).await;
    fake.set("CreateRoom", Fault::Hang);
    fixture.session(true).await;
    let running = only_job(&app, "state=running&kind=session").await;
    assert!(running["claimed_until"].is_string());
    let retry = format!("/api/jobs/{}/retry", id(&running));
    app.operator()
        .act(&retry)
        .await
        .expect_error(409, "job_running");
    let path = format!("state=waiting&tenant_id={}", fixture.tenant);
    assert_eq!(jobs(&app, &path).await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_sweep_waits_for_no_live_session() {
    let app = TestApp::start_with(&["--reconcile-interval=100ms", "--join-deadline=10m"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let lock = format!(
        "BEGIN; SET LOCAL app.tenant_id = '{0}'; SELECT id FROM sessions WHERE tenant_id = '{0}' AND id = '{1}' FOR UPDATE",
        fixture.tenant,
        id(&session)
    );
    database.batch_execute(&lock).await.unwrap();
    let swept = async || {
        let sweep = only_job(&app, "kind=room_sweep").await;
        sweep["run_at"].as_str().unwrap().to_owned()
    };
    let mut last = swept().await;
    // The session's own job waits for the lock, and nobody else does.
    let waiting = "(SELECT DISTINCT pid FROM pg_locks WHERE relation = 'sessions'::regclass
                    AND mode = 'RowShareLock' AND pid <> pg_backend_pid()) AS waiting";
    for _ in 0..3 {
        last = eventually("it sweeps on", async || {
            let found = count(&mut database, waiting).await;
            assert!(found < 2, "the sweep waits for a live session");
            let next = swept().await;
            (next > last).then_some(next)
        })
        .await;
    }
    let own = only_job(&app, "kind=session").await;
    assert_eq!(own["state"], "running");
    database.batch_execute("ROLLBACK").await.unwrap();
}
