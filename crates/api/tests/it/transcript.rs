//! Reports of workers: transcript and usage; and prompts rendered without a session.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};

use super::support::{TestApp, count, eventually, id};

fn turn(id: &str, role: &str, text: &str) -> Value {
    json!({ "id": id, "role": role, "text": text, "started_at": "2026-11-23T20:00:03Z" })
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_kept_once_and_erased_with_the_session() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let at = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    let path = format!("{at}/transcript");
    let worker = app.worker();
    let first = json!({ "turns": [turn("1", "user", "Hello?"), turn("2", "agent", "Hello!")] });
    let receipt = worker.post(&path, &first).await.expect(200);
    assert_eq!(receipt, json!({ "received": 2, "added": 2 }));
    let more =
        json!({ "turns": [turn("2", "agent", "something else"), turn("3", "user", "Bye.")] });
    let receipt = worker.post(&path, &more).await.expect(200);
    assert_eq!(receipt, json!({ "received": 2, "added": 1 }));
    let listed = fixture.admin.get(&path).await.expect(200);
    let said: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["text"])
        .collect();
    assert_eq!(said, ["Bye.", "Hello!", "Hello?"]);
    let agent = fixture.at(&format!("agents/{}", fixture.agent));
    let agent = fixture.admin.get(&agent).await.expect(200);
    let read = fixture.admin.get(&at).await.expect(200);
    assert_eq!(
        read["summary"],
        json!({ "agent_name": agent["name"], "binding_number": 1, "call_id": null, "duration_seconds": null, "turns": 3 })
    );
    let listed = fixture.admin.get(&fixture.at("sessions")).await.expect(200);
    assert_eq!(listed["data"][0]["summary"], read["summary"]);
    // The last turns may be reported after the end.
    fixture.admin.act(&format!("{at}/stop")).await.expect(200);
    let last = json!({ "turns": [turn("4", "system", "hung up")] });
    worker.post(&path, &last).await.expect(200);
    for (body, pointer) in [
        (json!({ "turns": [] }), "/turns"),
        (
            json!({ "turns": vec![turn("1", "user", ""); 101] }),
            "/turns",
        ),
        (
            json!({ "turns": [turn("1", "ghost", "Boo")] }),
            "/turns/0/role",
        ),
    ] {
        let refused = worker.post(&path, &body).await;
        assert!(
            refused.violations()[0].0.starts_with(pointer),
            "{}",
            refused.body
        );
    }
    let refused = fixture.admin.post(&path, &last).await;
    refused.expect_error(403, "missing_scope");
    fixture.admin.delete(&at).await.expect(204);
    worker
        .post(&path, &last)
        .await
        .expect_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_summed_and_a_report_counts_once() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let at = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    let path = format!("{at}/usage");
    let llm = json!({
        "kind": "llm", "provider": "openai", "model": "m", "input_tokens": 10, "output_tokens": 3,
    });
    let stt = json!({ "kind": "stt", "provider": "d", "model": "n", "audio_seconds": 2.5 });
    let first = json!({ "id": "1", "items": [llm, stt] });
    for added in [2, 0] {
        let receipt = app.worker().post(&path, &first).await.expect(200);
        assert_eq!(receipt["added"], added);
    }
    let second = json!({ "id": "2", "items": [llm] });
    app.worker().post(&path, &second).await.expect(200);
    let usage = fixture.admin.get(&path).await.expect(200);
    let totals = usage["totals"].as_array().unwrap();
    assert_eq!(totals.len(), 2);
    assert_eq!(
        (&totals[0]["input_tokens"], &totals[0]["output_tokens"]),
        (&json!(20), &json!(6))
    );
    assert_eq!(totals[1]["audio_seconds"], 2.5);
    let wrong = json!({ "kind": "stt", "provider": "d", "model": "n", "audio_seconds": -1.0 });
    let refused = app
        .worker()
        .post(&path, &json!({ "id": "3", "items": [wrong] }))
        .await;
    assert_eq!(refused.violations()[0].0, "/items/0/audio_seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_tried_without_a_session() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let (prompt, version) = (&fixture.prompt, &fixture.prompt_version);
    let path = fixture.at(&format!("prompts/{prompt}/versions/{version}/render"));
    let body = json!({ "variables": { "company": "Acme" } });
    let rendered = fixture.admin.post(&path, &body).await.expect(200);
    assert_eq!(rendered["prompt"], "You answer for Acme.");
    assert!(rendered["greeting"].is_null());
    let refused = fixture.admin.post(&path, &json!({})).await;
    assert_eq!(refused.violations()[0].0, "/variables/company");
    refused.expect_error(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn transcripts_and_timelines_are_read_forwards() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let at = |rest: &str| fixture.at(&format!("sessions/{}/{rest}", id(&session)));
    let turns: Vec<_> = (1..=5)
        .map(|n| json!({ "id": n.to_string(), "role": "user", "text": "Hi", "started_at": "2026-11-23T20:00:00Z" }))
        .collect();
    let worker = app.worker();
    let append = async |turns: &[Value]| {
        let body = json!({ "turns": turns });
        worker.post(&at("transcript"), &body).await.expect(200);
    };
    append(&turns[..3]).await;
    let read = async |query: &str| {
        let page = fixture.admin.get(&at(&format!("transcript?{query}"))).await;
        let page = page.expect(200);
        let ids = page["data"].as_array().unwrap().iter();
        let ids: Vec<_> = ids
            .map(|turn| turn["id"].as_str().unwrap().to_owned())
            .collect();
        (
            ids.join(" "),
            page["next_cursor"].as_str().map(str::to_owned),
        )
    };
    assert_eq!(read("").await.0, "3 2 1");
    let (first, cursor) = read("order=oldest_first&limit=2").await;
    assert_eq!(first, "1 2");
    let rest = format!("order=oldest_first&limit=2&cursor={}", cursor.unwrap());
    assert_eq!(read(&rest).await, ("3".to_owned(), None));
    append(&turns[3..]).await;
    assert_eq!(read("after=3").await, ("4 5".to_owned(), None));
    let (first, cursor) = read("after=2&limit=2").await;
    assert_eq!(first, "3 4");
    let rest = format!("after=2&limit=2&cursor={}", cursor.unwrap());
    assert_eq!(read(&rest).await, ("5".to_owned(), None));
    for (query, pointer, code) in [
        ("after=9", "/after", "unknown_reference"),
        ("after=1&order=newest_first", "/order", "conflict"),
    ] {
        let refused = fixture.admin.get(&at(&format!("transcript?{query}"))).await;
        assert_eq!(
            refused.violations(),
            [(pointer.to_owned(), code.to_owned())]
        );
    }

    let events = async |query: &str| {
        let page = fixture.admin.get(&at(&format!("events?{query}"))).await;
        page.expect(200)["data"].as_array().unwrap().clone()
    };
    let forwards = events("order=oldest_first").await;
    assert_eq!(forwards[0]["kind"], "session.created");
    let mut backwards = events("").await;
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let after = format!("after={}", id(&forwards[0]));
    assert_eq!(events(&after).await, forwards[1..]);
}

// A turn that another process had made earlier and committed later would be behind who reads forwards.
#[tokio::test(flavor = "multi_thread")]
async fn turns_are_made_one_after_the_other() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(false).await;
    let mut other = app.connect("DATABASE_OWNER_URL").await;
    let appends = format!(
        "BEGIN; SET LOCAL app.tenant_id = '{0}'; SELECT id FROM sessions WHERE tenant_id = '{0}' AND id = '{1}' FOR NO KEY UPDATE",
        fixture.tenant,
        id(&session)
    );
    other.batch_execute(&appends).await.unwrap();
    let path = fixture.at(&format!("sessions/{}/transcript", id(&session)));
    let worker = app.worker();
    let report = tokio::spawn(async move {
        let body = json!({ "turns": [turn("1", "user", "Hello?")] });
        worker.post(&path, &body).await
    });
    eventually("the report waits", async || {
        assert!(!report.is_finished(), "it waits for nobody");
        let waiting =
            "pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))";
        (count(&mut other, waiting).await > 0).then_some(())
    })
    .await;
    other.batch_execute("COMMIT").await.unwrap();
    report.await.unwrap().expect(200);
}
