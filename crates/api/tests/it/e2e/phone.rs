//! An inbound call without SIP: a real client joins as livekit-sip does for a caller (its kind, its attributes,
//! the rule's dispatch in its token), and the real worker claims the call and answers.

use std::{
    process::{Command, Output},
    time::Duration,
};

use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_protocol as proto;
use patchbay_livekit::SipObject;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{REPOSITORY, World, livekit_of, start_livekit, start_valkey};
use crate::support::{Fixture, environment, eventually, id};

/// The token with which livekit-sip would join.
fn token(mapping: &Value, rule: &str, room: &str) -> String {
    let metadata = json!({ "tenant_id": mapping["tenant"], "mapping_id": mapping["id"] });
    let config = proto::RoomConfiguration {
        agents: vec![proto::RoomAgentDispatch {
            agent_name: "patchbay-agent".to_owned(),
            metadata: metadata.to_string(),
            ..proto::RoomAgentDispatch::default()
        }],
        ..proto::RoomConfiguration::default()
    };
    let grants = VideoGrants {
        room_join: true,
        room: room.to_owned(),
        ..VideoGrants::default()
    };
    AccessToken::with_api_key(&environment("LIVEKIT_KEY"), &environment("LIVEKIT_SECRET"))
        .with_identity("sip_+4930777777")
        .with_kind("sip")
        .with_attributes([
            ("sip.ruleID", rule),
            ("sip.callStatus", "active"),
            ("sip.phoneNumber", "+4930777777"),
            ("sip.callID", "SCL_1"),
        ])
        .with_grants(grants)
        .with_room_config(config)
        .to_jwt()
        .unwrap()
}

/// The only rule in LiveKit.
async fn rule(world: &World) -> SipObject {
    let livekit = livekit_of(world);
    eventually("the rule is in LiveKit", async || {
        let rules = livekit.list_dispatch_rules().await.ok()?;
        rules.into_iter().next()
    })
    .await
}

/// A caller of the mapping, who hears the agent and then stays for some seconds.
async fn caller(world: &World, fixture: &Fixture, mapping: &str, stays: u16) -> JoinHandle<Output> {
    let rule = rule(world).await.sid;
    let room = format!("{}-in-{mapping}_+4930777777_x", world.schema);
    let ids = json!({ "tenant": fixture.tenant, "id": mapping });
    let token = token(&ids, &rule, &room);
    let url = format!("ws://127.0.0.1:{}", world.livekit_port);
    spawn_blocking(move || {
        Command::new(environment("PYTHON"))
            .args(["-B", &format!("{REPOSITORY}/xtask/client/tone_client.py")])
            .args([&*url, &token, "30", &stays.to_string()])
            .output()
            .unwrap()
    })
}

/// The only call, once it is answered.
async fn answered(fixture: &Fixture) -> Value {
    let calls = fixture.at("calls");
    eventually("the call", async || {
        let page = fixture.admin.get(&calls).await.expect(200);
        let all = page["data"].as_array().unwrap().clone();
        assert!(all.len() < 2, "{all:?}");
        all.into_iter().find(|call| call["state"] == "answered")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_answered_by_the_agent_of_the_number() {
    for webhooks in [true, false] {
        let world = World::start(webhooks).await;
        let fixture = Fixture::make(&world.base, "acme").await;
        let mapping = fixture.mapping("+4930123456").await;
        let caller = caller(&world, &fixture, &mapping, 6).await;
        let answered = answered(&fixture).await;
        assert_eq!(answered["from"], "+4930777777");
        let path = fixture.at(&format!("calls/{}", id(&answered)));
        let keys = json!({ "digits": "1#" });
        let pressed = eventually("the agent presses keys", async || {
            let answer = fixture.admin.post(&format!("{path}/dtmf"), &keys).await;
            let answer = answer.expect(200);
            eprintln!("keys: {} {}", answer["status"], answer["error"]);
            (answer["status"] == "succeeded").then_some(answer)
        })
        .await;
        assert_eq!(pressed["call"]["state"], "answered");
        let output = caller.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains(r#""digit": "1""#) && said.contains(r##""digit": "#""##),
            "{said}"
        );
        let ended = eventually("the end", async || {
            let call = fixture.admin.get(&path).await.expect(200);
            (call["state"] == "ended").then_some(call)
        })
        .await;
        let reason = ended["end_reason"].as_str().unwrap();
        // Only a webhook says which side hung up.
        let expected = if webhooks {
            "caller_hangup"
        } else {
            "completed"
        };
        assert_eq!(reason, expected, "{ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_and_its_number_live_through_restarts_of_livekit() {
    let mut world = World::start_with(true, &["--reconcile-interval=1s"]).await;
    let fixture = Fixture::make(&world.base, "acme").await;
    let mapping = fixture.mapping("+4930123456").await;
    let caller = caller(&world, &fixture, &mapping, 60).await;
    let call = answered(&fixture).await;
    let runs = fixture.at(&format!(
        "sessions/{}/agent-runs",
        call["session_id"].as_str().unwrap()
    ));
    // This caller counts as answered from the beginning: the agent may not have joined yet.
    eventually("the agent is there", async || {
        let all = fixture.admin.get(&runs).await.expect(200);
        (all["data"][0]["state"] == "joined").then_some(())
    })
    .await;
    world.livekit.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.livekit = start_livekit(&world.config, world.livekit_port);
    // The grace period is 10 s: a second dispatch or a lost call would have happened by then.
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(answered(&fixture).await["id"], call["id"]);
    let path = fixture.at(&format!("calls/{}", id(&call)));
    let runs = fixture.admin.get(&runs).await.expect(200);
    assert_eq!(runs["data"].as_array().unwrap().len(), 1, "{runs}");
    let ended = fixture.admin.act(&format!("{path}/stop")).await.expect(200);
    assert_eq!(
        (&ended["state"], &ended["hangup_by"]),
        (&json!("ended"), &json!("us"))
    );
    caller.abort();

    let before = rule(&world).await;
    world.valkey.kill();
    world.valkey = start_valkey(world.valkey_port);
    let livekit = livekit_of(&world);
    eventually("all is back", async || {
        let rules = livekit.list_dispatch_rules().await.ok()?;
        let trunks = livekit.list_inbound_trunks().await.ok()?;
        let ([rule], [trunk]) = (&*rules, &*trunks) else {
            return None;
        };
        assert_ne!(rule.sid, before.sid);
        (rule.name == before.name && rule.trunk_sids == [&*trunk.sid]).then_some(())
    })
    .await;
}
