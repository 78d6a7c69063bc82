//! A call in from the room's side: a real client comes as livekit-sip would bring a caller (its kind,
//! its attributes, the rule's dispatch in its token), the real worker claims the call and answers.

use std::{process::Command, time::Duration};

use livekit_api::access_token::{AccessToken, VideoGrants};
use livekit_protocol as proto;
use serde_json::{Value, json};

use super::{REPOSITORY, World};
use crate::support::{Fixture, environment, eventually, id};

/// The token that livekit-sip would join with.
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

/// The id of the one rule that LiveKit has.
async fn rule(world: &World) -> String {
    let livekit = patchbay_livekit::LiveKit::new(patchbay_livekit::Settings {
        url: format!("ws://127.0.0.1:{}", world.livekit_port),
        api_key: environment("LIVEKIT_KEY"),
        api_secret: environment("LIVEKIT_SECRET"),
        timeout: Duration::from_secs(5),
    });
    let livekit = livekit.unwrap();
    eventually(
        "the rule is in LiveKit",
        Duration::from_secs(10),
        async || {
            let rules = livekit.list_dispatch_rules().await.unwrap();
            rules.into_iter().next().map(|rule| rule.sid)
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_answered_by_the_agent_of_the_number() {
    for webhooks in [true, false] {
        let world = World::start(webhooks).await;
        let fixture = Fixture::make(&world.base, "acme").await;
        let mapping = fixture.mapping("+4930123456").await;
        let rule = rule(&world).await;
        let room = format!("{}-in-{mapping}_+4930777777_x", world.schema);
        let token = token(
            &json!({ "tenant": fixture.tenant, "id": mapping }),
            &rule,
            &room,
        );
        let url = format!("ws://127.0.0.1:{}", world.livekit_port);
        let caller = tokio::task::spawn_blocking(move || {
            Command::new(environment("PYTHON"))
                .args(["-B", &format!("{REPOSITORY}/xtask/client/tone_client.py")])
                .args([&*url, &token, "30", "6"])
                .output()
                .unwrap()
        });
        let calls = fixture.at("calls");
        let answered = eventually("the call", Duration::from_secs(30), async || {
            let page = fixture.admin.get(&calls).await.expect(200);
            let all = page["data"].as_array().unwrap().clone();
            assert!(all.len() < 2, "{all:?}");
            all.into_iter().find(|call| call["state"] == "answered")
        })
        .await;
        assert_eq!(answered["from"], "+4930777777");
        let path = fixture.at(&format!("calls/{}", id(&answered)));
        let keys = json!({ "digits": "1#" });
        let pressed = eventually(
            "the agent presses keys",
            Duration::from_secs(30),
            async || {
                let answer = fixture.admin.post(&format!("{path}/dtmf"), &keys).await;
                let answer = answer.expect(200);
                eprintln!("keys: {} {}", answer["status"], answer["detail"]);
                (answer["status"] == "succeeded").then_some(answer)
            },
        )
        .await;
        assert_eq!(pressed["call"]["state"], "answered");
        let output = caller.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains(r#""digit": "1""#) && said.contains(r##""digit": "#""##),
            "{said}"
        );
        let ended = eventually("the end", Duration::from_secs(25), async || {
            let call = fixture.admin.get(&path).await.expect(200);
            (call["state"] == "ended").then_some(call)
        })
        .await;
        let reason = ended["reason"].as_str().unwrap();
        // Only a webhook says who hung up.
        let expected = if webhooks {
            "caller_hangup"
        } else {
            "completed"
        };
        assert_eq!(reason, expected, "{ended}");
    }
}
