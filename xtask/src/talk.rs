//! The second half of the demo: a conversation in which the agent uses a tool.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    seed::{self, Client, text},
    story::{Story, join, wait_for_state},
    tools::Tools,
};

/// The context of the conversation.
pub struct Talk<'a> {
    pub tools: &'a Tools,
    pub story: &'a Story,
    pub client: &'a Client,
    pub tenant: &'a str,
    pub scripted: &'a str,
}

/// Runs it. Audio, protocols, tool call and secret are real; the providers are scripted.
pub fn run(talk: &Talk<'_>) -> Result<()> {
    let (story, client) = (talk.story, talk.client);
    let at = |rest: &str| format!("/api/tenants/{}/{rest}", talk.tenant);
    println!("\nA conversation, with providers that follow a script:");
    let secret = json!({ "value": "demo-token", "hosts": ["127.0.0.1"] });
    client.put(&at("secrets/SHOP_TOKEN"), &secret)?;
    let tool = seed::version(
        client,
        &at("tools"),
        "find order",
        &find_order(talk.scripted),
    )?;
    story.print("secret kept, tool find_order written");
    let agent = seed::agent(
        client,
        talk.tenant,
        "concierge",
        &pipeline(talk.scripted),
        &[&tool],
        &json!({ "top_k": 1 }),
    )?;
    knows(talk, &agent)?;
    let session = json!({ "agent_id": agent, "variables": { "company": "Acme" }, "start": true });
    let session = client.post(&at("sessions"), &session)?;
    let path = at(&format!("sessions/{}", text(&session, "/id")?));
    wait_for_state(client, &path, "running")?;
    story.print("the agent is in the room: running");
    let token = client.post(&at("tokens"), &json!({ "session_id": session["id"] }))?;
    join(talk.tools, story, "voice_client.py", &token)?;
    client.post(&format!("{path}/stop"), &json!({ "reason": "demo_over" }))?;
    print_transcript(&list(client, &format!("{path}/transcript"))?)?;
    print_timeline(&list(client, &format!("{path}/events?limit=100"))?)
}

/// Attaches a handbook to the agent.
fn knows(talk: &Talk<'_>, agent: &str) -> Result<()> {
    const HANDBOOK: &str = "# Shipping\n\nParcels travel by rail and arrive within two working days.\n\n\
        # Opening hours\n\nThe shop opens at nine, from Tuesday to Saturday.\n";
    let (story, client) = (talk.story, talk.client);
    let at = |rest: &str| format!("/api/tenants/{}/{rest}", talk.tenant);
    let path = at("files?name=handbook.md&ingest=true");
    let file = client.upload(&path, HANDBOOK.as_bytes())?;
    let file = text(&file, "/id")?;
    wait_for_state(client, &at(&format!("files/{file}/status")), "done")?;
    client.post(
        &at(&format!("agents/{agent}/files")),
        &json!({ "file_ids": [file] }),
    )?;
    let question = json!({ "query": "When can I come by?", "agent_id": agent, "limit": 1 });
    let found = client.post(&at("search"), &question)?;
    let passage = text(&found, "/data/0/text")?;
    ensure!(
        passage.contains("at nine"),
        "the handbook does not answer: {found}"
    );
    story.print("a handbook is read and attached; asked \"When can I come by?\", it answers:");
    story.print(&format!("  {}", passage.replace('\n', " ")));
    Ok(())
}

fn find_order(scripted: &str) -> Value {
    json!({
        "kind": "http",
        "function_name": "find_order",
        "description": "Finds an order by its number.",
        "parameters": {
            "type": "object", "required": ["number"], "additionalProperties": false,
            "properties": { "number": { "type": "string", "maxLength": 20 } },
        },
        "http": {
            "url": format!("{scripted}/shop/orders/{{{{ arguments.number }}}}"),
            "headers": { "authorization": "Bearer {{ secrets.SHOP_TOKEN }}" },
            "result_pointer": "/order",
        },
    })
}

fn pipeline(scripted: &str) -> Value {
    let model = |name: &str| json!({ "provider": "openai", "model": name, "base_url": format!("{scripted}/v1") });
    json!({
        "kind": "pipeline",
        "stt": model("scripted-stt"), "llm": model("scripted-llm"), "tts": model("scripted-tts"),
    })
}

/// A list, oldest first.
fn list(client: &Client, path: &str) -> Result<Vec<Value>> {
    let mut all = client.get(path)?["data"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    all.reverse();
    Ok(all)
}

fn print_transcript(turns: &[Value]) -> Result<()> {
    println!("\nTranscript:");
    for turn in turns {
        println!("  {:<6} {}", text(turn, "/role")?, text(turn, "/text")?);
    }
    ensure!(
        turns.len() >= 3,
        "greeting, question and answer were to be written down"
    );
    Ok(())
}

fn print_timeline(events: &[Value]) -> Result<()> {
    println!("\nTimeline:");
    for event in events {
        let call = &event["tool_call"];
        let more = match (call["function_name"].as_str(), call["status"].as_str()) {
            (Some(name), Some(status)) => format!("{name} {status} in {} ms", call["duration_ms"]),
            (Some(name), None) => name.to_owned(),
            _ if event["search"].is_object() => format!(
                "{} passages",
                event["search"]["chunk_ids"].as_array().map_or(0, Vec::len)
            ),
            _ => event["participant"]
                .as_str()
                .or(event["reason"].as_str())
                .unwrap_or_default()
                .to_owned(),
        };
        println!(
            "  {}  {:<22} {more}",
            text(event, "/at")?,
            text(event, "/kind")?
        );
    }
    let finished = |event: &&Value| {
        event["kind"] == "tool_call.finished" && event["tool_call"]["status"] == "succeeded"
    };
    ensure!(
        events.iter().any(|event| finished(&event)),
        "the tool call is not on the timeline"
    );
    ensure!(
        events
            .iter()
            .any(|event| event["kind"] == "knowledge.searched"),
        "what was looked up is not on the timeline"
    );
    Ok(())
}
