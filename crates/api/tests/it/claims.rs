//! Claims of jobs: a process that has lost one changes nothing any more.

use std::process::Command;

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};
use serde_json::Value;

use super::{
    crashes::Crashing,
    support::{
        FakeLiveKit, Fault, Fixture, Process, arguments, environment, eventually, free_port, id,
        in_schema,
    },
};

#[derive(QueryableByName)]
struct Stored {
    /// The transaction that wrote the row.
    #[diesel(sql_type = Text)]
    written_by: String,
    #[diesel(sql_type = BigInt)]
    events: i64,
}

async fn database(crashing: &Crashing) -> AsyncPgConnection {
    let url = in_schema(&environment("DATABASE_OWNER_URL"), &crashing.schema);
    AsyncPgConnection::establish(&url).await.unwrap()
}

/// What is stored of the only session, and by whom.
async fn stored(database: &mut AsyncPgConnection, tenant: &str) -> (String, i64) {
    let enter = format!("SET app.tenant_id = '{tenant}'");
    database.batch_execute(&enter).await.unwrap();
    let query = "SELECT xmin::text AS written_by, (SELECT count(*) FROM session_events) AS events FROM sessions";
    let row: Stored = diesel::sql_query(query).get_result(database).await.unwrap();
    (row.written_by, row.events)
}

fn signal(process: &Process, name: &str) {
    let pid = process.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}

async fn session(fixture: &Fixture) -> Value {
    let session = fixture.session(false).await;
    let path = fixture.at(&format!("sessions/{}/start", id(&session)));
    fixture.admin.act(&path).await.expect(202);
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_paused_writes_nothing_once_another_has_taken_its_job() {
    let crashing = Crashing::new().await;
    let fake = FakeLiveKit::start();
    let livekit = format!("--livekit-url={}", fake.url);
    // Without repeated dispatches nothing but the paused process would change the session again.
    let settings = [
        &*livekit,
        "--livekit-timeout=2s",
        "--start-wait=100ms",
        "--start-deadline=10m",
        "--join-deadline=10m",
        "--dispatch-check=10m",
        "--reconcile-interval=200ms",
        "--job-lease=1s",
        "--log-format=pretty",
    ];
    let paused = crashing.start(None, &settings);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    fake.set("CreateRoom", Fault::Hang);
    let session = session(&fixture).await;
    eventually("it waits for LiveKit", async || {
        (fake.calls("CreateRoom") > 0).then_some(())
    })
    .await;
    signal(&paused, "-STOP");
    fake.set("CreateRoom", Fault::None);

    let port = free_port();
    let listen = format!("--listen=127.0.0.1:{port}");
    let mut all = vec![&*listen];
    all.extend(settings);
    let mut other = Process::api(&arguments(&crashing.schema, &all));
    other.wait_for_port(port);
    let base = format!("http://127.0.0.1:{port}");
    let there = super::support::Client::new(&base, Some(&fixture.key));
    let path = fixture.at(&format!("sessions/{}", id(&session)));
    let started = eventually("the other process starts it", async || {
        let session = there.get(&path).await.expect(200);
        session["dispatched_at"].is_string().then_some(session)
    })
    .await;
    let mut database = database(&crashing).await;
    let before = stored(&mut database, &fixture.tenant).await;

    signal(&paused, "-CONT");
    // Its request to LiveKit has timed out, which it would have recorded as the session's error.
    eventually("it goes on and finds its claim gone", async || {
        let lost =
            paused.log_of("claim was lost").len() + paused.log_of("taken the job over").len();
        (lost > 0).then_some(())
    })
    .await;
    let looked = fake.calls("ListParticipants");
    eventually("both look after the session", async || {
        (fake.calls("ListParticipants") > looked + 5).then_some(())
    })
    .await;
    assert_eq!(stored(&mut database, &fixture.tenant).await, before);
    let after = there.get(&path).await.expect(200);
    assert_eq!(after, started);
    assert!(after["error"].is_null());
    let coloured = paused.log_of("\u{1b}");
    assert!(coloured.is_empty(), "no terminal, no colours: {coloured:?}");
}

/// A process whose session's job waits for LiveKit, with leases of this length.
async fn waiting(fault: Fault, lease: &str) -> (Crashing, FakeLiveKit, Process, Fixture, Value) {
    let crashing = Crashing::new().await;
    let fake = FakeLiveKit::start();
    let livekit = format!("--livekit-url={}", fake.url);
    let lease = format!("--job-lease={lease}");
    let settings = [
        &*livekit,
        "--livekit-timeout=10m",
        "--start-wait=100ms",
        &lease,
    ];
    let api = crashing.start(None, &settings);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    fake.set("CreateRoom", fault);
    let session = session(&fixture).await;
    eventually("it waits for LiveKit", async || {
        (fake.calls("CreateRoom") > 0).then_some(())
    })
    .await;
    (crashing, fake, api, fixture, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_claim_stops_the_work() {
    let (crashing, fake, api, _fixture, _session) = waiting(Fault::Hang, "1s").await;
    let taken =
        "UPDATE jobs SET claim = gen_random_uuid(), claimed_until = now() + interval '1 hour'
                 WHERE kind = 'session'";
    let mut database = database(&crashing).await;
    database.batch_execute(taken).await.unwrap();
    eventually("its work is dropped", async || {
        let lost = api.log_of("claim was lost").len();
        (lost == 1).then_some(())
    })
    .await;
    assert_eq!(fake.calls("CreateRoom"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_the_claim_is_refused() {
    // No heartbeat comes before the write.
    let (crashing, fake, api, fixture, session) = waiting(Fault::Held, "10m").await;
    let taken = "UPDATE jobs SET claim = gen_random_uuid() WHERE kind = 'session'";
    let mut database = database(&crashing).await;
    database.batch_execute(taken).await.unwrap();
    let before = stored(&mut database, &fixture.tenant).await;
    fake.set("CreateRoom", Fault::None);
    eventually("it wants to record the room", async || {
        let refused = api.log_of("taken the job over").len();
        let recorded = fixture.read(&session).await["dispatched_at"].is_string();
        assert!(!recorded, "it has recorded the room");
        (refused > 0).then_some(())
    })
    .await;
    assert_eq!(stored(&mut database, &fixture.tenant).await, before);
}
