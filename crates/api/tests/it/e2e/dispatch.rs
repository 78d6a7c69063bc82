//! Dispatches with real workers: slow ones, and one whose job's process is killed.

use std::{process::Command, time::Duration};

use futures_util::future::join_all;
use patchbay_domain::states::ParticipantKind;
use patchbay_livekit::LiveKit;
use serde_json::Value;

use super::{REPOSITORY, World, agents, list, livekit_of, start_worker_as, state_is, talk};
use crate::support::{Fixture, Process, eventually, id};

const THREADS: (&str, &str) = ("PATCHBAY_WORKER_EXECUTOR", "thread");
const PROCESSES: (&str, &str) = ("PATCHBAY_WORKER_EXECUTOR", "process");

/// LiveKit waits so long for a worker's answer: afterwards each dispatch is taken or dropped.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// Once each dispatch of the session has been answered, one agent is in the room, and one run is live.
async fn ends_with_one_agent(livekit: &LiveKit, fixture: &Fixture, session: &Value) {
    let running = state_is(fixture, session, "running").await;
    tokio::time::sleep(ANSWERED_WITHIN).await;
    let room = running["room_name"].as_str().unwrap();
    let mut seen = String::new();
    eventually("one agent stays", async || {
        let present = livekit.list_participants(room).await.unwrap();
        let agents = present
            .iter()
            .filter(|p| p.kind == ParticipantKind::Agent)
            .map(|p| &p.identity)
            .collect::<Vec<_>>();
        let known = self::agents(fixture, session).await;
        let now = format!("{}: {agents:?} in the room, {known} known", id(session));
        if now != seen {
            eprintln!("{now}");
            seen = now;
        }
        (agents.len() == 1 && known == 1).then_some(())
    })
    .await;
    let dispatches = livekit.list_dispatches(room).await.unwrap();
    assert!(dispatches.iter().any(|dispatch| dispatch.is_taken));
    let runs = list(fixture, session, "agent-runs").await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0]["state"], "joined");
    assert!(runs[0]["dispatches"].as_i64() > Some(1), "{runs:?}");
}

fn start_slow_worker(world: &World, settings: &[(&str, &str)]) -> Process {
    let script = format!("{REPOSITORY}/crates/api/tests/it/support/slow_worker.py");
    let folder = format!("{REPOSITORY}/deploy/agent-worker");
    let settings = [&[("SLOW_WORKER", &*folder)], settings].concat();
    start_worker_as(&script, (world.livekit_port, &world.base), &settings)
}

/// Some sessions at a time, with a worker that accepts late while the service dispatches again.
async fn with_a_slow_worker(rounds: usize, seconds: &str, more: &[(&str, &str)]) {
    let mut world = World::start(true).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    world.worker.kill();
    let settings = [&[("SLOW_SECONDS", seconds)], more].concat();
    world.worker = start_slow_worker(&world, &settings);
    let livekit = livekit_of(&world);
    for _ in 0..rounds {
        let sessions = join_all((0..5).map(|_| fixture.session(true))).await;
        let settled = sessions
            .iter()
            .map(|session| ends_with_one_agent(&livekit, &fixture, session));
        join_all(settled).await;
        for session in &sessions {
            let path = fixture.at(&format!("sessions/{}/stop", id(session)));
            fixture.admin.act(&path).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_worker_ends_with_one_agent() {
    with_a_slow_worker(5, "2.5", &[THREADS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_worker_that_accepts_every_dispatch_ends_with_one_agent() {
    // Agents that are thrown out while they join must not be in one another's way.
    with_a_slow_worker(5, "2.5", &[PROCESSES, ("SLOW_NAIVE", "1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_accepts_too_late_for_livekit_is_dispatched_again() {
    with_a_slow_worker(1, "3.5", &[THREADS, ("SLOW_FIRST", "1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_thrown_out_as_the_second_one_fails_no_session() {
    let (_providers, url) = talk::start_providers();
    let allowed = format!("--provider-urls={url}");
    let mut world = World::start_with(true, &[&allowed]).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    world.worker.kill();
    let settings = [PROCESSES, ("SLOW_SECONDS", "2.5"), ("SLOW_NAIVE", "1")];
    world.worker = start_slow_worker(&world, &settings);
    let runtime = talk::pipeline(&url, &url);
    let session = talk::talking_agent(&fixture, runtime, &[]).await;
    state_is(&fixture, &session, "running").await;
    // Both wait for the caller, who has not come yet.
    world.worker.wait_for("not in the room any more");
    assert_eq!(fixture.read(&session).await["state"], "running");
    assert_eq!(agents(&fixture, &session).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_of_one_job_ends_no_other_conversation() {
    let mut world = World::start(true).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    world.worker.kill();
    let script = format!("{REPOSITORY}/deploy/agent-worker/worker.py");
    let settings = [PROCESSES, ("PATCHBAY_WORKER_IDLE_PROCESSES", "0")];
    world.worker = start_worker_as(&script, (world.livekit_port, &world.base), &settings);
    let victim = fixture.session(true).await;
    state_is(&fixture, &victim, "running").await;
    let other = fixture.session(true).await;
    state_is(&fixture, &other, "running").await;
    // Not one that was started for a later dispatch of the same run, and has found its agent there.
    let job = eventually("its process says that it is in the room", async || {
        let said = world.worker.log_of(&id(&victim));
        let said = said
            .iter()
            .find(|line| line.contains("in the room, echoing"))?;
        serde_json::from_str::<Value>(said).unwrap()["pid"].as_u64()
    })
    .await;
    let killed = Command::new("kill")
        .args(["-KILL", &job.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    // LiveKit needs about 20 s to notice.
    eventually("its agent is replaced", async || {
        let runs = list(&fixture, &victim, "agent-runs").await;
        (runs.len() == 2 && runs[0]["state"] == "joined" && runs[1]["state"] == "lost")
            .then_some(())
    })
    .await;
    let others = list(&fixture, &other, "agent-runs").await;
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["state"], "joined");
    super::hear_the_echo(&fixture, &fixture.read(&other).await).await;
    super::hear_the_echo(&fixture, &fixture.read(&victim).await).await;
}
