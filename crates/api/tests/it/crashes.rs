//! The binary crashes after an external call and before it has recorded it, and is restarted.

use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use patchbay_livekit::{LiveKit, SipObject};
use serde_json::{Value, json};

use super::{
    calls::{CALLEE, becomes, call, identity, trunk},
    support::{
        Callee, FakeLiveKit, Fixture, Process, arguments, environment, eventually, free_port, id,
        in_schema, make_schema,
    },
};

/// The binary, which can crash and be restarted on the same data.
pub(super) struct Crashing {
    pub schema: String,
    port: u16,
}

impl Crashing {
    pub async fn new() -> Self {
        Self {
            schema: make_schema().await,
            port: free_port(),
        }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until there is no job of this kind.
    pub async fn no_jobs(&self, kind: &str) {
        let url = in_schema(&environment("DATABASE_OWNER_URL"), &self.schema);
        let mut connection = AsyncPgConnection::establish(&url).await.unwrap();
        let query = format!("SELECT subject_id FROM jobs WHERE kind = '{kind}'");
        eventually("its jobs are done", async || {
            let jobs = diesel::sql_query(&query).execute(&mut connection).await;
            (jobs.unwrap() == 0).then_some(())
        })
        .await;
    }

    /// Starts the binary and waits until it listens; with a crash point, it aborts there.
    pub fn start(&self, crash_at: Option<&str>, more: &[&str]) -> Process {
        let mut api = self.spawn(crash_at, more);
        api.wait_for_port(self.port);
        api
    }

    /// The same without waiting: it may end before it listens.
    pub fn spawn(&self, crash_at: Option<&str>, more: &[&str]) -> Process {
        let listen = format!("--listen=127.0.0.1:{}", self.port);
        let crash = crash_at.map(|point| format!("--crash-at={point}"));
        let mut all = vec![&*listen];
        all.extend(crash.as_deref());
        all.extend(more);
        Process::api(&arguments(&self.schema, &all))
    }
}

async fn until(fixture: &Fixture, session: &Value, test: impl Fn(&Value) -> bool) -> Value {
    eventually("the session", async || {
        let session = fixture.read(session).await;
        test(&session).then_some(session)
    })
    .await
}

pub(super) fn livekit() -> LiveKit {
    super::support::livekit(&environment("LIVEKIT_URL"))
}

/// The dispatches that LiveKit has for the session.
async fn dispatches(session: &Value) -> usize {
    let livekit = livekit();
    let room = session["room_name"].as_str().unwrap();
    if livekit
        .list_rooms(vec![room.to_owned()])
        .await
        .unwrap()
        .is_empty()
    {
        return 0;
    }
    livekit.list_dispatches(room).await.unwrap().len()
}

/// Starts a session whose response is lost in the crash.
async fn start_and_crash(fixture: &Fixture, api: &mut Process) -> Value {
    let session = fixture.session(false).await;
    let path = fixture.at(&format!(
        "sessions/{}/start",
        session["id"].as_str().unwrap()
    ));
    let client = reqwest::Client::new();
    let _ = client
        .post(format!("{}{path}", fixture.base))
        .bearer_auth(&fixture.key)
        .send()
        .await;
    assert!(!api.wait().success());
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_room_was_created_there_is_one_room_with_one_dispatch() {
    let crashing = Crashing::new().await;
    let more = ["--join-deadline=30s", "--start-deadline=30s"];
    let mut api = crashing.start(Some("after_create_room"), &more);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let session = start_and_crash(&fixture, &mut api).await;
    assert_eq!(dispatches(&session).await, 1, "the effect is there");
    let _api = crashing.start(None, &more);
    let started = until(&fixture, &session, |s| s["dispatched_at"].is_string()).await;
    assert_eq!(started["state"], "starting");
    assert_eq!(dispatches(&session).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_second_dispatch_it_is_found_and_not_repeated() {
    let crashing = Crashing::new().await;
    let mut api = crashing.start(
        Some("after_create_dispatch"),
        &["--join-deadline=500ms", "--start-deadline=30s"],
    );
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let session = start_and_crash(&fixture, &mut api).await;
    assert_eq!(dispatches(&session).await, 2);
    let _api = crashing.start(None, &["--join-deadline=30s", "--start-deadline=30s"]);
    let path = fixture.at(&format!(
        "sessions/{}/agent-runs",
        session["id"].as_str().unwrap()
    ));
    eventually("recorded", async || {
        let runs = fixture.admin.get(&path).await.expect(200);
        runs["data"][0]["dispatch_id"].is_string().then_some(())
    })
    .await;
    assert_eq!(dispatches(&session).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_room_was_deleted_the_session_ends_as_it_was_asked_to() {
    let crashing = Crashing::new().await;
    let mut api = crashing.start(Some("after_delete_room"), &["--join-deadline=30s"]);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let session = fixture.session(true).await;
    let path = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    let client = reqwest::Client::new();
    let request = client
        .post(format!("{}{path}", fixture.base))
        .bearer_auth(&fixture.key);
    let _ = request.json(&json!({ "reason": "enough" })).send().await;
    assert!(!api.wait().success());
    let _api = crashing.start(None, &[]);
    let ended = until(&fixture, &session, |s| s["state"] == "ended").await;
    assert_eq!(ended["end_reason"], "enough");
    assert_eq!(dispatches(&session).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_and_sigterm_ends_in_order() {
    let crashing = Crashing::new().await;
    let mut api = crashing.start(None, &[]);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let session = fixture.session(false).await;
    api.kill();
    let mut api = crashing.start(None, &[]);
    assert_eq!(fixture.read(&session).await["id"], session["id"]);
    api.terminate();
    assert!(api.wait().success());
    let log = std::fs::read_to_string(&api.log).unwrap();
    for secret in [
        super::support::OPERATOR_KEY,
        &environment("LIVEKIT_SECRET"),
        &fixture.key,
    ] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    assert!(
        log.contains("\"route\":\"/api/tenants/{tenant_id}/sessions/{session_id}\""),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_one_line_and_exit_code_2() {
    for (argument, named) in [
        ("--start-deadline=soon", "--start-deadline"),
        ("--livekit-url=ftp://x", "LIVEKIT_URL"),
        ("--operator-key=short", "PATCHBAY_OPERATOR_KEY"),
        (
            "--operator-key=short-one,short-two",
            "PATCHBAY_OPERATOR_KEY",
        ),
        (
            "--worker-key=shortshortshortshortshortshortshort,shortshortshortshortshortshortshort",
            "PATCHBAY_WORKER_KEY",
        ),
        ("--env=UPPER", "--env"),
    ] {
        let mut api = Process::api(&arguments("none", &[argument]));
        assert_eq!(api.wait().code(), Some(2), "{argument}");
        let said = std::fs::read_to_string(&api.log).unwrap();
        assert!(said.contains(named), "{argument}: {said}");
        assert!(!said.contains("short"), "a secret is printed: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_start_that_died_is_answered_and_not_repeated() {
    let crashing = Crashing::new().await;
    let crash = Some("after_create_room");
    let settings = ["--request-timeout=2s", "--start-deadline=30s"];
    let mut api = crashing.start(crash, &settings);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let body = json!({
        "agent_id": fixture.agent, "variables": { "company": "Acme" }, "start": true,
    });
    let send = || {
        reqwest::Client::new()
            .post(format!("{}{}", fixture.base, fixture.at("sessions")))
            .bearer_auth(&fixture.key)
            .header("idempotency-key", "k")
            .json(&body)
            .send()
    };
    assert!(send().await.is_err(), "the answer is lost");
    api.wait();
    let _api = crashing.start(None, &settings);
    let client = fixture.admin.with_header("idempotency-key", "k");
    let path = fixture.at("sessions");
    // The first request may still be in progress, as far as the service knows; later it is not.
    let replay = eventually("the replay", async || {
        let answer = client.post(&path, &body).await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    assert_eq!(replay.header("idempotency-replayed"), "true");
    let session = replay.expect(201);
    let listed = fixture.admin.get(&path).await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let started = until(&fixture, &session, |s| s["dispatched_at"].is_string()).await;
    assert_eq!(dispatches(&started).await, 1);
}

/// The binary with a fake LiveKit and its telephony, and the settings of the binary.
struct Telephony {
    crashing: Crashing,
    fake: FakeLiveKit,
    settings: Vec<String>,
}

impl Telephony {
    async fn new() -> Self {
        let fake = FakeLiveKit::start();
        fake.exchange().with_agents();
        let settings = vec![
            format!("--livekit-url={}", fake.url),
            "--outbound-allow=127.0.0.0/8".to_owned(),
            "--call-poll=100ms".to_owned(),
        ];
        Self {
            crashing: Crashing::new().await,
            fake,
            settings,
        }
    }

    fn start(&self, crash_at: Option<&str>) -> Process {
        let settings: Vec<_> = self.settings.iter().map(|setting| &**setting).collect();
        self.crashing.start(crash_at, &settings)
    }

    async fn fixture(&self) -> Fixture {
        let fixture = Fixture::make(&self.crashing.base(), "acme").await;
        trunk(&fixture, "carrier").await;
        fixture
    }
}

/// Creates a call whose response is lost in the crash.
async fn call_and_crash(fixture: &Fixture, api: &mut Process) {
    let body = json!({
        "agent_id": fixture.agent, "to": CALLEE, "variables": { "company": "Acme" }, "start": true,
        "ring_timeout_seconds": 5,
    });
    let request = reqwest::Client::new().post(format!("{}{}", fixture.base, fixture.at("calls")));
    let _ = request.bearer_auth(&fixture.key).json(&body).send().await;
    assert!(!api.wait().success());
}

async fn only_call(fixture: &Fixture) -> Value {
    let calls = fixture.admin.get(&fixture.at("calls")).await.expect(200);
    assert_eq!(calls["data"].as_array().unwrap().len(), 1);
    calls["data"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_was_recorded_and_perhaps_not_sent_is_not_sent_again() {
    let telephony = Telephony::new().await;
    let mut api = telephony.start(Some("after_dial_recorded"));
    let fixture = telephony.fixture().await;
    call_and_crash(&fixture, &mut api).await;
    let _api = telephony.start(None);
    let failed = becomes(&fixture, &only_call(&fixture).await, "failed").await;
    assert_eq!(failed["end_reason"], "livekit_unavailable");
    assert!(telephony.fake.exchange().dials().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_answered_in_the_crash_goes_on() {
    let telephony = Telephony::new().await;
    let mut api = telephony.start(Some("after_dial_answered"));
    let fixture = telephony.fixture().await;
    call_and_crash(&fixture, &mut api).await;
    let _api = telephony.start(None);
    becomes(&fixture, &only_call(&fixture).await, "answered").await;
    assert_eq!(telephony.fake.exchange().dials().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_although_the_wait_for_its_answer_panicked() {
    let telephony = Telephony::new().await;
    let _api = telephony.start(Some("panic:after_dial_answered"));
    let fixture = telephony.fixture().await;
    let made = call(&fixture).await;
    becomes(&fixture, &made, "answered").await;
    assert_eq!(telephony.fake.exchange().dials().len(), 1);
    let stop = fixture.at(&format!("calls/{}/stop", id(&made)));
    fixture.admin.act(&stop).await.expect(200);
    becomes(&fixture, &made, "ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_that_rings_through_a_kill_is_answered_or_silenced() {
    for stops in [false, true] {
        let telephony = Telephony::new().await;
        telephony.fake.exchange().set(CALLEE, Callee::Rings);
        let mut api = telephony.start(None);
        let fixture = telephony.fixture().await;
        let made = call(&fixture).await;
        becomes(&fixture, &made, "ringing").await;
        api.kill();
        let _api = telephony.start(None);
        if stops {
            let stop = fixture.at(&format!("calls/{}/stop", id(&made)));
            fixture.admin.act(&stop).await.expect(200);
            becomes(&fixture, &made, "canceled").await;
        } else {
            telephony
                .fake
                .exchange()
                .becomes(&identity(&made), "active");
            becomes(&fixture, &made, "answered").await;
        }
        assert_eq!(telephony.fake.exchange().dials().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_dial_each_number_once() {
    let telephony = Telephony::new().await;
    let _one = telephony.start(None);
    let fixture = telephony.fixture().await;
    let other = Crashing {
        schema: telephony.crashing.schema.clone(),
        port: free_port(),
    };
    let settings: Vec<_> = telephony
        .settings
        .iter()
        .map(|setting| &**setting)
        .collect();
    let _other = other.start(None, &settings);
    let calls = futures_util::future::join_all((0..12).map(|_| call(&fixture))).await;
    for made in &calls {
        becomes(&fixture, made, "answered").await;
    }
    let dials = telephony.fake.exchange().dials();
    let mut identities: Vec<_> = dials
        .iter()
        .map(|dial| &dial.participant_identity)
        .collect();
    identities.sort();
    identities.dedup();
    assert_eq!((dials.len(), identities.len()), (12, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_a_kill_left_half_told_is_one_trunk_and_one_rule() {
    let cases = [
        ("after_inbound_trunk", (1, 0), "+4930188001"),
        ("after_dispatch_rule", (1, 1), "+4930188002"),
    ];
    for (point, half, number) in cases {
        let crashing = Crashing::new().await;
        let mut api = crashing.start(Some(point), &[]);
        let fixture = Fixture::make(&crashing.base(), "acme").await;
        let livekit = livekit();
        // Whether there is a response depends on the time of the crash.
        let fixture = std::sync::Arc::new(fixture);
        let asking = std::sync::Arc::clone(&fixture);
        drop(tokio::spawn(async move { asking.mapping(number).await }).await);
        assert!(!api.wait().success());
        let prefix = format!("{}-mapping-", crashing.schema);
        let ours = async || {
            let is_ours = |found: &&SipObject| found.name.starts_with(&prefix);
            let trunks = livekit.list_inbound_trunks().await.unwrap();
            let rules = livekit.list_dispatch_rules().await.unwrap();
            (
                trunks.iter().filter(is_ours).count(),
                rules.iter().filter(is_ours).count(),
            )
        };
        assert_eq!(ours().await, half, "{point}");
        let _api = crashing.start(None, &[]);
        let all = fixture.at("inbound-mappings");
        let all = fixture.admin.get(&all).await.expect(200);
        let path = fixture.at(&format!("inbound-mappings/{}", id(&all["data"][0])));
        eventually("it is synced", async || {
            let mapping = fixture.admin.get(&path).await.expect(200);
            (mapping["sync"]["state"] == "synced").then_some(())
        })
        .await;
        assert_eq!(ours().await, (1, 1), "{point}");
        fixture.admin.delete(&path).await.expect(204);
        eventually("it is gone", async || {
            (ours().await == (0, 0)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_a_kill_interrupts_ends_with_each_chunk_once() {
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let text = "Wheels turn and the road goes on for a while. ".repeat(150);
    let settings = [&*model, "--chunk-tokens=32", "--chunk-overlap=8"];
    for point in ["after_extract", "mid_embed", "after_embed", "in_publish"] {
        let crashing = Crashing::new().await;
        let mut api = crashing.start(Some(point), &settings);
        let fixture = Fixture::make(&crashing.base(), "acme").await;
        let path = fixture.at("files?name=a.txt");
        let file = fixture
            .admin
            .upload(&path, text.as_bytes())
            .await
            .expect(201);
        let path = fixture.at(&format!("files/{}", id(&file)));
        let (admin, ingest) = (fixture.admin.clone(), format!("{path}/ingest"));
        // Whether there is a response depends on the time of the crash.
        drop(tokio::spawn(async move { admin.act(&ingest).await }).await);
        assert!(!api.wait().success(), "{point}");
        let _api = crashing.start(None, &settings);
        let status = eventually("it ends", async || {
            let status = fixture
                .admin
                .get(&format!("{path}/status"))
                .await
                .expect(200);
            status["finished_at"].is_string().then_some(status)
        })
        .await;
        let attempts = status["attempts"].as_i64().unwrap();
        assert!(status["state"] == "done" && attempts > 1, "{status}");
        let chunks = fixture
            .admin
            .get(&format!("{path}/chunks?limit=100"))
            .await
            .expect(200);
        let ordinals: Vec<_> = chunks["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["ordinal"].as_i64().unwrap())
            .collect();
        let all: Vec<i64> = (0..status["chunks"].as_i64().unwrap()).collect();
        assert!(all.len() > 40 && ordinals == all, "{ordinals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_or_a_deletion_that_a_kill_interrupts_leaves_nothing() {
    let crashing = Crashing::new().await;
    let short = ["--upload-timeout=3s"];
    let mut api = crashing.start(Some("after_upload"), &short);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let folder = format!(
        "{}/{1}-objects/{1}/{2}",
        environment("FOLDER"),
        crashing.schema,
        fixture.tenant
    );
    let there = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    let (admin, path) = (fixture.admin.clone(), fixture.at("files?name=a.bin"));
    let bytes = vec![7; 9_000_000];
    drop(tokio::spawn(async move { admin.upload(&path, &bytes).await }).await);
    assert!(!api.wait().success());
    assert_eq!(there(), 1, "the bytes are there, and nobody's");
    let gone = async || {
        eventually("nothing is left", async || (there() == 0).then_some(())).await;
    };
    let mut api = crashing.start(Some("after_object_deleted"), &short);
    assert!(!api.wait().success(), "it dies after it has cleaned up");
    gone().await;
    let mut api = crashing.start(None, &short);
    let files = fixture.admin.get(&fixture.at("files")).await.expect(200);
    assert_eq!(files["data"], json!([]));
    // The next crash is to be that of the next object.
    crashing.no_jobs("object").await;
    let file = fixture
        .admin
        .upload(&fixture.at("files?name=b.txt"), b"b")
        .await
        .expect(201);
    api.kill();
    let mut api = crashing.start(Some("after_object_deleted"), &short);
    let path = fixture.at(&format!("files/{}", id(&file)));
    let admin = fixture.admin.clone();
    drop(tokio::spawn(async move { admin.delete(&path).await }).await);
    assert!(!api.wait().success());
    let _api = crashing.start(None, &short);
    gone().await;
    let files = fixture.admin.get(&fixture.at("files")).await.expect(200);
    assert_eq!(files["data"], json!([]));
}
