//! `cargo xtask demo`: the main use cases, over HTTP and with a real client.

use std::{
    fs, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    cache, dev, phone,
    process::catch_signals,
    seed::{self, Client, Seeded, text},
    stack::Ports,
    story::{Story, join, wait_for_state},
    talk::{self, Talk},
    tools,
};

/// The command: on the running dev stack, or on a new one.
pub fn run(call: bool) -> Result<()> {
    catch_signals()?;
    if let Some(missing) = phone::missing().filter(|_| call) {
        bail!("no telephone can ring here: {missing}");
    }
    let folder = cache::directory()?.join("dev");
    if let Ok(state) = fs::read_to_string(folder.join("running.json")) {
        let state: Value = serde_json::from_str(&state)?;
        let (base, key) = (text(&state, "/base")?, text(&state, "/operator_key")?);
        if Client::new(base, "").get("/health").is_ok() {
            let tools = tools::ensure(|| Ok(()))?;
            let port = state["telephone_port"].as_u64();
            return match port.and_then(|port| u16::try_from(port).ok()) {
                Some(port) if call => call_story(base, key, port),
                _ if call => bail!("the running `dev` has no telephone: start it anew"),
                _ => story(&tools, base, key, text(&state, "/scripted_url")?),
            };
        }
    }
    let tools = tools::ensure(dev::build)?;
    let folder = cache::scratch("demo")?;
    let running = dev::start(&tools, &folder, &Ports::FREE);
    let outcome = running.and_then(|running| {
        let (base, scripted) = (&running.base, &running.scripted_url);
        if let Some(port) = running.telephone_port().filter(|_| call) {
            return call_story(base, &running.operator_key, port);
        }
        story(&tools, base, &running.operator_key, scripted)
    });
    let _ = fs::remove_dir_all(&folder);
    outcome
}

/// An outbound call to a phone that answers.
fn call_story(base: &str, operator_key: &str, port: u16) -> Result<()> {
    let story = Story::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seeded = seed::seed(base, operator_key, &format!("call-{}", now.as_millis()))?;
    let trunk = phone::trunk(base, &seeded, port)?;
    story.print("tenant with an agent; a trunk that LiveKit has");
    let client = Client::new(base, &seeded.key);
    let calls = format!("/api/tenants/{}/calls", seeded.tenant);
    let wish = json!({
        "agent_id": seeded.agent, "to": "+49 30 654321", "trunk_id": trunk, "start": true,
        "variables": { "company": "Acme" },
    });
    let call = client.post(&calls, &wish)?;
    let path = format!("{calls}/{}", text(&call, "/id")?);
    story.print(&format!(
        "call {}: {}",
        text(&call, "/id")?,
        text(&call, "/state")?
    ));
    wait_for_state(&client, &path, "answered")?;
    story.print("the agent is in the room, the number was dialled, the telephone answered");
    thread::sleep(Duration::from_secs(3));
    let ended = client.post(&format!("{path}/stop"), &json!({}))?;
    let reason = text(&ended, "/end_reason")?;
    ensure!(
        reason == "completed",
        "the call did not end as it should: {ended}"
    );
    story.print(&format!(
        "hung up by us: ended({reason}), talked {} s",
        ended["talk_seconds"]
    ));
    let events = format!("sessions/{}/events?limit=100", text(&call, "/session_id")?);
    let events = client.get(&format!("/api/tenants/{}/{events}", seeded.tenant))?;
    println!("\nThe timeline:");
    for event in events["data"].as_array().into_iter().flatten().rev() {
        let reason = event["reason"].as_str().unwrap_or_default();
        println!(
            "  {}  {:<22} {reason}",
            text(event, "/at")?,
            text(event, "/kind")?
        );
    }
    Ok(())
}

fn story(tools: &tools::Tools, base: &str, operator_key: &str, scripted: &str) -> Result<()> {
    let story = Story::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let slug = format!("story-{}", now.as_millis());
    let Seeded { tenant, key, agent } = seed::seed(base, operator_key, &slug)?;
    story.print("tenant, prompt, runtime config, agent and binding made, binding active");
    let client = Client::new(base, &key);
    let at = |rest: &str| format!("/api/tenants/{tenant}/{rest}");
    let session = client.post(
        &at("sessions"),
        &json!({
            "agent_id": agent, "variables": { "company": "Acme" }, "start": true,
        }),
    )?;
    let id = text(&session, "/id")?;
    story.print(&format!(
        "session {id} started: {}",
        text(&session, "/state")?
    ));
    let session = wait_for_state(&client, &at(&format!("sessions/{id}")), "running")?;
    story.print("the agent is in the room: running");

    let token = client.post(&at("tokens"), &json!({ "session_id": id, "name": "Ada" }))?;
    story.print(&format!(
        "token for {}",
        text(&token, "/participant_identity")?
    ));
    listen(
        tools,
        &story,
        &token,
        text(&session, "/configuration_digest")?,
    )?;

    let stopped = client.post(&at(&format!("sessions/{id}/stop")), &json!({}))?;
    ensure!(
        text(&stopped, "/state")? == "ended",
        "the session did not end: {stopped}"
    );
    story.print(&format!(
        "stopped: ended({})",
        text(&stopped, "/end_reason")?
    ));
    let people = client.get(&at(&format!("sessions/{id}/participants")))?;
    let people = people["data"].as_array().map_or(0, Vec::len);
    ensure!(
        people == 2,
        "two participants were to be recorded, not {people}"
    );
    story.print("both participants are on record");
    talk::run(&Talk {
        tools,
        story: &story,
        client: &client,
        tenant: &tenant,
        scripted,
    })?;
    print_trail(&client, &at("audit-events?limit=100"))
}

/// Joins with a real client, which sends 440 Hz and must hear the greeting and its own tone.
fn listen(tools: &tools::Tools, story: &Story, token: &Value, digest: &str) -> Result<()> {
    let events = join(tools, story, "tone_client.py", token)?;
    let said = events
        .iter()
        .find_map(|event| event.pointer("/attributes/patchbay.configuration_digest"));
    ensure!(
        said == Some(&digest.into()),
        "the agent names another configuration: {said:?}"
    );
    story.print("the agent names the session's configuration digest");
    Ok(())
}

fn print_trail(client: &Client, path: &str) -> Result<()> {
    let trail = client.get(path)?;
    let events = trail["data"].as_array().cloned().unwrap_or_default();
    println!("\nAudit trail:");
    for event in events.iter().rev() {
        let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        println!(
            "  {}  {:<9} {:<30} {}",
            field("at"),
            field("actor_kind"),
            field("action"),
            field("resource_id")
        );
    }
    let actions: Vec<_> = events
        .iter()
        .filter_map(|event| event["action"].as_str())
        .collect();
    for expected in [
        "tenant.created",
        "agent.activated",
        "session.starting",
        "session.running",
        "session.ended",
    ] {
        ensure!(
            actions.contains(&expected),
            "{expected} is not in the audit trail"
        );
    }
    Ok(())
}
