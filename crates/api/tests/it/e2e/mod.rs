//! End to end: a dedicated LiveKit, the binary, the real worker and a real client. These tests run one after the
//! other, after all others.

mod dispatch;
mod phone;
mod sip;
mod talk;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use futures_util::future::join_all;
use patchbay_livekit::LiveKit;
use serde_json::{Value, json};

use super::support::{
    Fixture, Process, WORKER_KEY, arguments, environment, eventually, free_port, livekit,
    make_schema,
};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Everything that a session needs, as real processes.
struct World {
    livekit_port: u16,
    valkey_port: u16,
    config: PathBuf,
    livekit: Process,
    valkey: Process,
    _api: Process,
    worker: Process,
    base: String,
    schema: String,
}

impl World {
    async fn start(webhooks: bool) -> Self {
        Self::start_with(webhooks, &[]).await
    }

    async fn start_with(webhooks: bool, settings: &[&str]) -> Self {
        let (valkey_port, livekit_port, api_port) = (free_port(), free_port(), free_port());
        let valkey = start_valkey(valkey_port);
        let config = write_config(livekit_port, valkey_port, webhooks.then_some(api_port));
        let livekit = start_livekit(&config, livekit_port);
        let schema = make_schema().await;
        let listen = format!("--listen=127.0.0.1:{api_port}");
        let livekit_url = format!("--livekit-url=ws://127.0.0.1:{livekit_port}");
        let more = [
            &*listen,
            &livekit_url,
            "--join-deadline=15s",
            "--agent-grace=10s",
            "--start-deadline=20s",
            "--livekit-timeout=5s",
            "--start-wait=10s",
            "--job-lease=10s",
        ];
        let mut api = Process::api(&arguments(&schema, &[&more, settings].concat()));
        api.wait_for_port(api_port);
        let base = format!("http://127.0.0.1:{api_port}");
        let worker = start_worker(livekit_port, &base);
        Self {
            livekit_port,
            valkey_port,
            config,
            livekit,
            valkey,
            _api: api,
            worker,
            base,
            schema,
        }
    }
}

/// A Valkey without persistent data.
fn start_valkey(port: u16) -> Process {
    let mut valkey = Process::start("valkey", environment("VALKEY_SERVER"), |command| {
        command
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--port", &port.to_string()]);
    });
    valkey.wait_for_port(port);
    valkey
}

fn write_config(port: u16, valkey_port: u16, webhooks: Option<u16>) -> PathBuf {
    let mut config = json!({
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {
            "udp_port": free_port(), "tcp_port": free_port(),
            "enable_loopback_candidate": true, "use_external_ip": false,
        },
        "redis": { "address": format!("127.0.0.1:{valkey_port}") },
        "keys": { environment("LIVEKIT_KEY"): environment("LIVEKIT_SECRET") },
    });
    if let Some(port) = webhooks {
        config["webhook"] = json!({
            "api_key": environment("LIVEKIT_KEY"),
            "urls": [format!("http://127.0.0.1:{port}/api/livekit/webhooks")],
        });
    }
    let file = PathBuf::from(environment("FOLDER")).join(format!("livekit-{port}.json"));
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

fn start_livekit(config: &Path, port: u16) -> Process {
    let mut livekit = Process::start("livekit", environment("LIVEKIT_SERVER"), |command| {
        command
            .arg("--config")
            .arg(config)
            .args(["--node-ip", "127.0.0.1"]);
    });
    livekit.wait_for_port(port);
    livekit
}

/// The reference worker. Its jobs are threads, which start sooner; those of a deployment are processes.
fn start_worker(livekit_port: u16, base: &str) -> Process {
    let script = format!("{REPOSITORY}/deploy/agent-worker/worker.py");
    let threads = [("PATCHBAY_WORKER_EXECUTOR", "thread")];
    start_worker_as(&script, (livekit_port, base), &threads)
}

fn start_worker_as(
    script: &str,
    (livekit_port, base): (u16, &str),
    settings: &[(&str, &str)],
) -> Process {
    let mut worker = Process::start("worker", environment("PYTHON"), |command| {
        command
            .args(["-B", script, "start"])
            .env("LIVEKIT_URL", format!("ws://127.0.0.1:{livekit_port}"))
            .env("LIVEKIT_API_KEY", environment("LIVEKIT_KEY"))
            .env("LIVEKIT_API_SECRET", environment("LIVEKIT_SECRET"))
            .env("PATCHBAY_URL", base)
            .env("PATCHBAY_WORKER_KEY", WORKER_KEY)
            .env("PATCHBAY_DRAIN_SECONDS", "1")
            .env_remove("OPENAI_API_KEY")
            .envs(settings.iter().copied());
    });
    worker.wait_for("registered worker");
    worker
}

/// A client of the world's LiveKit.
fn livekit_of(world: &World) -> LiveKit {
    livekit(&format!("ws://127.0.0.1:{}", world.livekit_port))
}

async fn state_is(fixture: &Fixture, session: &Value, state: &str) -> Value {
    eventually(state, async || {
        let session = fixture.read(session).await;
        assert!(
            session["state"] != "failed" || state == "failed",
            "{session}"
        );
        (session["state"] == state).then_some(session)
    })
    .await
}

async fn list(fixture: &Fixture, session: &Value, what: &str) -> Vec<Value> {
    let path = fixture.at(&format!(
        "sessions/{}/{what}",
        session["id"].as_str().unwrap()
    ));
    let page = fixture.admin.get(&path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

/// The number of agents that are in the room now.
async fn agents(fixture: &Fixture, session: &Value) -> usize {
    let people = list(fixture, session, "participants").await;
    let here = |p: &&Value| p["kind"] == "agent" && p["left_at"].is_null();
    people.iter().filter(here).count()
}

/// Joins with a real client that must hear the greeting and its own 440 Hz.
async fn hear_the_echo(fixture: &Fixture, session: &Value) {
    let said = join(fixture, session, "tone_client.py").await;
    let digest = session["configuration_digest"].as_str().unwrap();
    assert!(
        said.contains(digest),
        "the agent does not name its configuration: {said}"
    );
}

/// Joins with one of the real clients, which must succeed; returns its output.
async fn join(fixture: &Fixture, session: &Value, script: &str) -> String {
    let body = json!({ "session_id": session["id"] });
    let path = fixture.at("tokens");
    let token = fixture.admin.post(&path, &body).await.expect(201);
    let script = format!("{REPOSITORY}/xtask/client/{script}");
    let client = tokio::task::spawn_blocking(move || {
        let text = |name: &str| token[name].as_str().unwrap().to_owned();
        Command::new(environment("PYTHON"))
            .args(["-B", &script, &text("server_url")])
            .args([&text("participant_token"), "30"])
            .output()
            .unwrap()
    });
    let output = client.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    said
}

/// Joins as [`hear_the_echo`] does, and stays until the service has seen the caller: without webhooks it looks only from
/// time to time.
async fn hear_the_echo_and_be_seen(fixture: &Fixture, session: &Value) {
    let body = json!({ "session_id": session["id"] });
    let path = fixture.at("tokens");
    let token = fixture.admin.post(&path, &body).await.expect(201);
    let text = |name: &str| token[name].as_str().unwrap();
    let script = format!("{REPOSITORY}/xtask/client/tone_client.py");
    let mut client = Process::start("client", environment("PYTHON"), |command| {
        command.args(["-B", &script, text("server_url")]).args([
            text("participant_token"),
            "60",
            "600",
        ]);
    });
    client.wait_for(session["configuration_digest"].as_str().unwrap());
    client.wait_for("\"frequency_hz\": 880");
    client.wait_for("\"frequency_hz\": 440");
    eventually("the caller is seen", async || {
        let people = list(fixture, session, "participants").await;
        let caller = |p: &&Value| p["kind"] == "standard" && p["joined_at"].is_string();
        people.iter().find(caller).map(drop)
    })
    .await;
    client.kill();
}

async fn story(webhooks: bool) {
    let world = World::start(webhooks).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let session = fixture.session(true).await;
    let running = state_is(&fixture, &session, "running").await;
    hear_the_echo_and_be_seen(&fixture, &running).await;
    let path = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    let ended = fixture.admin.act(&path).await.expect(200);
    assert_eq!(
        (&ended["state"], &ended["end_reason"]),
        (&json!("ended"), &json!("stopped"))
    );
    let people = list(&fixture, &session, "participants").await;
    assert_eq!(people.len(), 2, "{people:?}");
    assert!(
        people
            .iter()
            .all(|p| p["joined_at"].is_string() && p["left_at"].is_string())
    );
    let runs = list(&fixture, &session, "agent-runs").await;
    assert_eq!((runs.len(), &runs[0]["state"]), (1, &json!("finished")));
    let identity = runs[0]["participant_identity"].as_str().unwrap();
    assert_eq!(
        identity,
        format!("agent-{}", runs[0]["id"].as_str().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_voice_session() {
    story(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_voice_session_without_webhooks() {
    story(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_sessions_at_once_have_one_agent_each() {
    let world = World::start(true).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let sessions = join_all((0..10).map(|_| fixture.session(true))).await;
    for session in &sessions {
        state_is(&fixture, session, "running").await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for session in &sessions {
        assert_eq!(agents(&fixture, session).await, 1);
        assert_eq!(list(&fixture, session, "agent-runs").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_replaced() {
    let mut world = World::start(true).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let session = fixture.session(true).await;
    state_is(&fixture, &session, "running").await;
    world.worker.kill();
    world.worker = start_worker(world.livekit_port, &world.base);
    // LiveKit needs about 20 s to notice.
    eventually("the second run has joined", async || {
        let runs = list(&fixture, &session, "agent-runs").await;
        (runs.len() == 2 && runs[0]["state"] == "joined").then_some(())
    })
    .await;
    let runs = list(&fixture, &session, "agent-runs").await;
    assert_eq!(runs[1]["state"], "lost");
    let running = fixture.read(&session).await;
    assert_eq!(running["state"], "running");
    hear_the_echo(&fixture, &running).await;
    assert_eq!(agents(&fixture, &session).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_livekit_dispatches_nothing_twice() {
    let mut world = World::start(true).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let session = fixture.session(true).await;
    state_is(&fixture, &session, "running").await;
    world.livekit.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.livekit = start_livekit(&world.config, world.livekit_port);
    // The grace period is 10 s: a second dispatch would have happened by then.
    tokio::time::sleep(Duration::from_secs(16)).await;
    let after = fixture.read(&session).await;
    assert_eq!(after["state"], "running", "{after}");
    assert_eq!(list(&fixture, &session, "agent-runs").await.len(), 1);
    assert_eq!(agents(&fixture, &session).await, 1);
    let path = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    assert_eq!(fixture.admin.act(&path).await.expect(200)["state"], "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_joins_and_may_leave() {
    let world = World::start(true).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let session = fixture.session(true).await;
    let running = state_is(&fixture, &session, "running").await;
    let at = fixture.at(&format!(
        "sessions/{}/attach",
        session["id"].as_str().unwrap()
    ));
    let body =
        json!({ "type": "agent", "agent_id": fixture.agent, "variables": { "company": "Beta" } });
    let run = fixture.admin.post(&at, &body).await.expect(201)["agent_run"].clone();
    let state_of = async |state: &str| {
        eventually(state, async || {
            let runs = list(&fixture, &session, "agent-runs").await;
            runs.into_iter()
                .find(|r| r["id"] == run["id"] && r["state"] == state)
        })
        .await
    };
    let joined = state_of("joined").await;
    assert_eq!(agents(&fixture, &session).await, 2);
    let livekit = livekit_of(&world);
    let room = running["room_name"].as_str().unwrap();
    let identity = joined["participant_identity"].as_str().unwrap();
    livekit.remove_participant(room, identity).await.unwrap();
    state_of("lost").await;
    assert_eq!(fixture.read(&session).await["state"], "running");
    hear_the_echo(&fixture, &running).await;
}
