//! A real conversation: a caller who speaks, the worker's pipeline, tools, and scripted providers.

use serde_json::{Value, json};

use super::{
    super::support::{Fixture, Process, Upstream, environment, eventually, free_port},
    REPOSITORY, World, join, list, state_is,
};

pub(super) fn start_providers() -> (Process, String) {
    let port = free_port();
    let mut providers = Process::start("providers", environment("PYTHON"), |command| {
        let script = format!("{REPOSITORY}/xtask/client/scripted_providers.py");
        command.args(["-B", &script, &port.to_string()]);
    });
    providers.wait_for("listening");
    (providers, format!("http://127.0.0.1:{port}/v1"))
}

/// A pipeline with these providers; a dead one is tried first.
pub(super) fn pipeline(url: &str, dead: &str) -> Value {
    let model = |name: &str| json!({ "provider": "openai", "model": name, "base_url": url });
    let first = |name: &str| {
        json!({
            "provider": "openai", "model": format!("{name}-dead"), "base_url": dead, "fallbacks": [model(name)],
        })
    };
    json!({
        "kind": "pipeline", "stt": first("scripted-stt"), "llm": first("scripted-llm"), "tts": first("scripted-tts"),
        "vad": { "min_silence_ms": 400 }, "turn_detection": { "min_delay_ms": 300 },
    })
}

/// An agent with this pipeline, a greeting and these tools.
pub(super) async fn talking_agent(fixture: &Fixture, runtime: Value, tools: &[Value]) -> Value {
    let spec = json!({ "spec": {
        "template": "You answer for {{ company }}.", "greeting": "Welcome to {{ company }}, how can I help?",
        "variables": [{ "name": "company", "required": true }],
    } });
    let versions = fixture.at(&format!("prompts/{}/versions", fixture.prompt));
    let prompt = fixture.admin.post(&versions, &spec).await.expect(201);
    let versions = fixture.at(&format!("runtime-configs/{}/versions", fixture.config));
    let spec = json!({ "spec": runtime });
    let config = fixture.admin.post(&versions, &spec).await.expect(201);
    let mut versions = Vec::new();
    for tool in tools {
        versions.push(fixture.tool(tool.clone()).await);
    }
    let body = json!({
        "prompt_version_id": prompt["id"], "runtime_config_version_id": config["id"], "tool_version_ids": versions,
    });
    let path = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let binding = fixture.admin.post(&path, &body).await.expect(201);
    fixture.activate(binding["id"].as_str().unwrap()).await;
    fixture.session(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_with_tools() {
    let (_providers, url) = start_providers();
    let dead = format!("http://127.0.0.1:{}/v1", free_port());
    let allowed = format!("--provider-urls={url},{dead}");
    let world = World::start_with(true, &["--outbound-allow=127.0.0.0/8", &allowed]).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let upstream = Upstream::start();
    let secret = json!({ "value": "tok-very-secret", "hosts": ["127.0.0.1"] });
    fixture
        .admin
        .put(&fixture.at("secrets/SHOP"), &secret)
        .await
        .expect(201);
    let find_order = json!({
        "kind": "http", "function_name": "find_order", "description": "Finds an order.",
        "parameters": { "type": "object", "properties": { "number": { "type": "string" } } },
        "http": {
            "url": format!("{}/orders/{{{{ arguments.number }}}}", upstream.url), "result_pointer": "/order",
            "headers": { "authorization": "Bearer {{ secrets.SHOP }}" },
        },
    });
    let open_page = json!({
        "kind": "client", "function_name": "open_page", "description": "Shows a page.",
        "parameters": { "type": "object", "properties": { "page": { "type": "string" } } },
        "client": {},
    });
    let session = talking_agent(&fixture, pipeline(&url, &dead), &[find_order, open_page]).await;
    let running = state_is(&fixture, &session, "running").await;
    let said = join(&fixture, &running, "voice_client.py").await;
    assert!(
        said.contains("orders/A-17"),
        "the caller's app was asked to open the page: {said}"
    );

    let asked = upstream.calls();
    assert_eq!(
        (asked.len(), &asked[0]["path"]),
        (1, &json!("/orders/A-17")),
        "{asked:?}"
    );
    assert_eq!(
        asked[0]["headers"]["authorization"],
        "Bearer tok-very-secret"
    );
    let calls = eventually("both calls are on the timeline", async || {
        let events = list(&fixture, &session, "events?kind=tool_call.finished").await;
        (events.len() == 2).then_some(events)
    })
    .await;
    let tool_calls: Vec<_> = calls
        .iter()
        .rev()
        .map(|event| &event["tool_call"])
        .map(|call| {
            (
                call["function_name"].clone(),
                call["kind"].clone(),
                call["status"].clone(),
            )
        })
        .collect();
    assert_eq!(
        tool_calls,
        [
            (json!("find_order"), json!("http"), json!("succeeded")),
            (json!("open_page"), json!("client"), json!("succeeded")),
        ]
    );
    let turns = eventually("the conversation is written down", async || {
        let turns = list(&fixture, &session, "transcript").await;
        (turns.len() >= 3).then_some(turns)
    })
    .await;
    let words: Vec<_> = turns
        .iter()
        .rev()
        .map(|t| (t["role"].as_str().unwrap(), t["text"].as_str().unwrap()))
        .collect();
    assert_eq!(words[0], ("agent", "Welcome to Acme, how can I help?"));
    assert_eq!(words[1], ("user", "Where is my order A-17?"));
    assert!(
        words[2].1.contains("sent"),
        "the answer uses what the tool said: {words:?}"
    );
    let path = fixture.at(&format!(
        "sessions/{}/stop",
        session["id"].as_str().unwrap()
    ));
    assert_eq!(fixture.admin.act(&path).await.expect(200)["state"], "ended");
    let usage = eventually("usage of all three", async || {
        let path = fixture.at(&format!(
            "sessions/{}/usage",
            session["id"].as_str().unwrap()
        ));
        let usage = fixture.admin.get(&path).await.expect(200);
        (usage["totals"].as_array().unwrap().len() == 3).then_some(usage)
    })
    .await;
    for total in usage["totals"].as_array().unwrap() {
        let amount = match total["kind"].as_str().unwrap() {
            "llm" => total["input_tokens"].as_f64().unwrap() / 40.0,
            "stt" => total["audio_seconds"].as_f64().unwrap(),
            _ => total["characters"].as_f64().unwrap(),
        };
        assert!(amount >= 1.0 && total["provider"] == "openai", "{total}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_lacks_is_told_by_name() {
    let world = World::start(true).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    for (provider, words) in [
        ("deepgram", "livekit-plugins-deepgram is missing"),
        ("openai", "OPENAI_API_KEY is not set"),
    ] {
        let model = json!({ "provider": provider, "model": "m" });
        let runtime = json!({ "kind": "pipeline", "stt": model, "llm": model, "tts": model });
        let session = talking_agent(&fixture, runtime, &[]).await;
        let failed = state_is(&fixture, &session, "failed").await;
        assert_eq!(failed["end_reason"], "agent_error", "{failed}");
        assert!(
            failed["error"]["message"].as_str().unwrap().contains(words),
            "{failed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_on_both_sides_ends_a_session() {
    let (_providers, url) = start_providers();
    let allowed = format!("--provider-urls={url}");
    let world = World::start_with(true, &[&allowed]).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let mut runtime = pipeline(&url, &url);
    runtime["limits"] = json!({ "idle_seconds": 5 });
    let session = talking_agent(&fixture, runtime, &[]).await;
    let running = state_is(&fixture, &session, "running").await;
    let body = json!({ "session_id": running["id"] });
    let token = fixture
        .admin
        .post(&fixture.at("tokens"), &body)
        .await
        .expect(201);
    let text = |name: &str| token[name].as_str().unwrap().to_owned();
    // It sends a tone, which is no speech, until it is removed from the room.
    let _silent = Process::start("silent", environment("PYTHON"), |command| {
        let script = format!("{REPOSITORY}/xtask/client/tone_client.py");
        command.args([
            "-B",
            &script,
            &text("server_url"),
            &text("participant_token"),
            "40",
        ]);
    });
    let ended = state_is(&fixture, &session, "ended").await;
    assert_eq!(ended["end_reason"], "idle", "{ended}");
}
