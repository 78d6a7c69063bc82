//! Dispatches that no worker takes, which LiveKit drops, and those that one has taken.

use serde_json::{Value, json};

use super::{
    inbound::{self, Ringing},
    support::{FakeLiveKit, Fault, Fixture, TestApp, deliver, event, eventually, id, now},
};

async fn start(more: &[&str]) -> (FakeLiveKit, TestApp, Fixture) {
    let fake = FakeLiveKit::start();
    let url = format!("--livekit-url={}", fake.url);
    let mut settings = vec![&*url, "--dispatch-check=100ms"];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    (fake, app, fixture)
}

async fn failed(fixture: &Fixture, session: &Value) -> Value {
    eventually("it fails", async || {
        let session = fixture.read(session).await;
        (session["state"] == "failed").then_some(session)
    })
    .await
}

async fn dispatches(app: &TestApp, session: &Value) -> usize {
    let room = session["room_name"].as_str().unwrap();
    let livekit = app.livekit();
    livekit.list_dispatches(room).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_that_no_worker_takes_is_repeated_for_the_same_run() {
    let (fake, app, fixture) = start(&["--join-deadline=60s"]).await;
    let session = fixture.session(true).await;
    eventually("it is repeated", async || {
        let runs = fixture.runs(&session).await;
        assert_eq!(runs.len(), 1, "never another run");
        let run = &runs[0];
        assert_eq!(
            (&run["state"], &run["taken_at"]),
            (&json!("dispatched"), &Value::Null)
        );
        (run["dispatches"].as_i64() >= Some(3)).then_some(())
    })
    .await;
    // A worker takes one after all.
    fake.set("ListDispatch", Fault::Taken);
    let before = fixture.runs(&session).await[0]["dispatches"].as_i64();
    let taken = eventually("it is taken", async || {
        let runs = fixture.runs(&session).await;
        runs[0]["taken_at"].is_string().then(|| runs[0].clone())
    })
    .await;
    let most = before.map(|before| before + 1);
    assert!(
        taken["dispatches"].as_i64() <= most,
        "one may have been under way: {taken}"
    );
    let count = taken["dispatches"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok());
    assert_eq!(Some(fake.calls("CreateDispatch") + 1), count);
    assert_eq!(Some(dispatches(&app, &session).await), count);
    let asked = fake.calls("ListDispatch");
    let looked = fake.calls("ListParticipants");
    eventually("it is only waited for", async || {
        (fake.calls("ListParticipants") > looked + 5).then_some(())
    })
    .await;
    assert_eq!(fake.calls("ListDispatch"), asked);
    assert_eq!(
        fixture.runs(&session).await[0]["dispatches"],
        taken["dispatches"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_that_a_worker_has_refused_for_good_is_not_taken() {
    let (fake, _app, fixture) = start(&["--join-deadline=60s"]).await;
    fake.set("ListDispatch", Fault::Refused);
    let session = fixture.session(true).await;
    eventually("it is repeated", async || {
        let runs = fixture.runs(&session).await;
        assert!(runs[0]["taken_at"].is_null(), "{runs:?}");
        (runs[0]["dispatches"].as_i64() >= Some(3)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_worker_fails_and_says_why() {
    let (fake, app, fixture) = start(&["--join-deadline=1s"]).await;
    let session = fixture.session(true).await;
    let unknown = failed(&fixture, &session).await;
    assert_eq!(unknown["end_reason"], "no_worker");
    let run = fixture.runs(&session).await[0].clone();
    assert_eq!(run["state"], "no_show");
    let count = run["dispatches"].as_u64().unwrap();
    assert!(count > 2, "{run}");
    assert_eq!(
        fake.calls("CreateDispatch"),
        usize::try_from(count - 1).unwrap()
    );
    let why = format!(
        "No worker took any of {count} dispatches: no worker has registered as `patchbay-agent`. Start one that connects to \
         this LiveKit."
    );
    let error = json!({ "code": "no_worker", "message": why });
    assert_eq!(unknown["error"], error);
    assert_eq!(run["error"]["message"], why);

    for (worker, words) in [
        (
            json!({ "capacity": 1, "running": 1 }),
            "are full or draining",
        ),
        (
            json!({ "capacity": 2, "running": 1 }),
            "has room, but it took none",
        ),
    ] {
        let mut body =
            json!({ "worker_name": "patchbay-agent", "version": "1", "kinds": ["echo"] });
        body.as_object_mut()
            .unwrap()
            .extend(worker.as_object().unwrap().clone());
        let session = fixture.session(true).await;
        let beat = async || {
            let put = app.worker().put("/api/workers/one", &body).await;
            put.expect(200);
            fixture.read(&session).await
        };
        let failed = eventually("it fails", async || {
            let session = beat().await;
            (session["state"] == "failed").then_some(session)
        })
        .await;
        let why = failed["error"]["message"].as_str().unwrap();
        assert!(why.contains(words), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_taken_and_never_joined_is_replaced_once() {
    let (fake, _app, fixture) = start(&["--join-deadline=3s"]).await;
    fake.set("ListDispatch", Fault::Taken);
    let session = fixture.session(true).await;
    let failed = failed(&fixture, &session).await;
    assert_eq!(failed["end_reason"], "no_worker");
    let why = "A worker took the dispatch, but its agent did not join in time. The worker's log says why.";
    assert_eq!(failed["error"]["message"], why);
    let runs = fixture.runs(&session).await;
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert_eq!(
            (&run["state"], &run["dispatches"]),
            (&json!("no_show"), &json!(1))
        );
        assert_eq!(run["error"]["message"], why);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_agent_that_no_worker_takes_is_dispatched_again_and_closed() {
    let (fake, app, fixture) = start(&[
        "--join-deadline=2s",
        "--start-deadline=2s",
        "--agent-grace=10m",
    ])
    .await;
    let session = fixture.session(true).await;
    let joined = json!({
        "sid": "PA_a", "identity": "agent-x", "name": "agent", "kind": "AGENT",
    });
    let joined = event(
        "EV_joined",
        "participant_joined",
        &session,
        now(),
        Some(joined),
    );
    deliver(&app, &joined).await.expect(200);
    let attach = fixture.at(&format!("sessions/{}/attach", id(&session)));
    let body =
        json!({ "type": "agent", "agent_id": fixture.agent, "variables": { "company": "B" } });
    let own = async |run: &Value| {
        let runs = fixture.runs(&session).await;
        runs.into_iter().find(|r| r["id"] == run["id"]).unwrap()
    };
    let attached = fixture.admin.post(&attach, &body).await.expect(201)["agent_run"].clone();
    let closed = eventually("it is given up", async || {
        let run = own(&attached).await;
        (run["state"] == "no_show").then_some(run)
    })
    .await;
    let count = closed["dispatches"].as_i64().unwrap();
    assert!(count > 1, "{closed}");
    let why = closed["error"]["message"].as_str().unwrap();
    assert!(
        why.starts_with(&format!("No worker took any of {count}")),
        "{why}"
    );
    assert_eq!(
        fixture.read(&session).await["state"],
        "running",
        "the session goes on"
    );

    // One that LiveKit never dispatched was taken by nobody.
    fake.set("ListDispatch", Fault::Broken);
    let attached = fixture.admin.post(&attach, &body).await.expect(201)["agent_run"].clone();
    let closed = eventually("it is given up", async || {
        let run = own(&attached).await;
        (run["state"] == "no_show").then_some(run)
    })
    .await;
    assert_eq!(closed["dispatches"], 0);
    let why = closed["error"]["message"].as_str().unwrap();
    assert!(
        why.starts_with("The agent could not be dispatched in time: LiveKit"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbound_call_is_dispatched_again_until_a_worker_claims_it() {
    let (fake, app, fixture) = inbound::world(&["--dispatch-check=100ms"]).await;
    let mapping = inbound::mapping(&app, &fixture, json!({})).await;
    let ringing = Ringing::new(&fake, &app, &mapping, "one").await;
    let (_, rules) = inbound::in_livekit(&app).await;
    let joined = ringing.participant(&rules[0].0, json!({}));
    let joined = event("EV_in", "participant_joined", &ringing.room, now(), joined);
    deliver(&app, &joined).await.expect(200);
    let session = eventually("the webhook makes its session", async || {
        let page = fixture.admin.get(&fixture.at("sessions")).await.expect(200);
        page["data"].get(0).cloned()
    })
    .await;
    let run = eventually("it is dispatched again", async || {
        let run = fixture.runs(&session).await[0].clone();
        (run["dispatches"].as_i64() >= Some(2)).then_some(run)
    })
    .await;
    let room = session["room_name"].as_str().unwrap();
    let livekit = app.livekit();
    let found = livekit.list_dispatches(room).await.unwrap();
    let ids: Vec<Value> = found
        .iter()
        .map(|dispatch| serde_json::from_str(&dispatch.metadata).unwrap())
        .collect();
    let again = ids
        .iter()
        .find(|ids| ids["agent_run_id"] == run["id"])
        .unwrap();
    assert_eq!(
        again["mapping_id"], mapping["id"],
        "a worker knows it as the same call"
    );
    assert_eq!(again["session_id"], session["id"]);

    ringing.claim(&app, &fixture, &mapping).await.expect(200);
    let run = fixture.runs(&session).await[0].clone();
    assert!(run["taken_at"].is_string(), "{run}");
    let (asked, looked) = (fake.calls("ListDispatch"), fake.calls("ListParticipants"));
    eventually("it is only waited for", async || {
        (fake.calls("ListParticipants") > looked + 5).then_some(())
    })
    .await;
    assert!(
        fake.calls("ListDispatch") <= asked + 1,
        "one may have been under way"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_that_is_taken_at_the_last_moment_counts() {
    let (fake, _app, fixture) = start(&["--join-deadline=2s", "--dispatch-check=1s"]).await;
    let session = fixture.session(true).await;
    // The last repetition is made; the next look is the one before the agent is given up.
    eventually("the last dispatch is made", async || {
        (fake.calls("CreateDispatch") == 1).then_some(())
    })
    .await;
    fake.set("ListDispatch", Fault::Taken);
    eventually("it is seen", async || {
        let runs = fixture.runs(&session).await;
        runs[0]["taken_at"].is_string().then_some(())
    })
    .await;
    assert_eq!(fixture.read(&session).await["state"], "starting");
}
