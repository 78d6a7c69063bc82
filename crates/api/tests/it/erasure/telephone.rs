//! Personal data of telephone calls: outbound and inbound, accepted and refused.

use std::time::Duration;

use livekit_protocol as proto;
use patchbay_livekit::RoomRequest;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::{
        calls::{becomes, identity},
        crashes::livekit,
        support::{Callee, Client, Fault, OPERATOR_KEY, event, eventually, free_port, id, now},
    },
    world::{CALLEE, CALLER, Spelling, Traces, WORD, World},
};

impl World {
    /// Outbound calls, one of which is refused.
    pub(super) async fn make_outbound_calls(&self, traces: &mut Traces) {
        let body = json!({
            "agent_id": self.fixture.agent, "to": CALLEE, "variables": { "company": WORD }, "start": true,
            "ring_timeout_seconds": 5,
        });
        let call = self
            .keyed(traces, Spelling::NoDashes, &self.at("calls"), body.clone())
            .await
            .expect(201);
        becomes(&self.fixture, &call, "answered").await;
        let at = self.at(&format!("calls/{}", id(&call)));
        let listed = format!("calls?number={}", CALLEE.replace('+', "%2B"));
        self.fixture.admin.get(&self.at(&listed)).await.expect(200);
        self.fake
            .exchange()
            .set(&format!("tel:{CALLEE}"), Callee::Refuses(603));
        let transfer = json!({ "to": CALLEE });
        self.keyed(
            traces,
            Spelling::Braces,
            &format!("{at}/transfer"),
            transfer,
        )
        .await
        .expect(200);
        self.keyed(traces, Spelling::Urn, &format!("{at}/stop"), Value::Null)
            .await
            .expect(200);
        becomes(&self.fixture, &call, "ended").await;
        traces.deletions.push(self.at(&format!(
            "sessions/{}",
            call["session_id"].as_str().unwrap()
        )));
        self.fake.exchange().set(CALLEE, Callee::Refuses(486));
        let refused = self
            .fixture
            .admin
            .post(&self.at("calls"), &body)
            .await
            .expect(201);
        becomes(&self.fixture, &refused, "failed").await;
        let session = json!({ "id": refused["session_id"] });
        self.session_becomes(&session, &["ended", "failed"]).await;
        assert!(
            self.fake
                .exchange()
                .telephones(&identity(&refused))
                .is_empty()
        );
        traces
            .deletions
            .push(self.at(&format!("sessions/{}", id(&session))));
    }

    /// Inbound calls: one that is accepted, and some that are refused.
    pub(super) async fn call(&self, traces: &mut Traces) {
        let operator = Client::new(&self.base, Some(OPERATOR_KEY));
        let number = format!("+49301{:06}", u64::from(free_port()) * 7 % 1_000_000);
        operator
            .send(Method::PUT, &self.at(&format!("numbers/{number}")), None)
            .await
            .expect(200);
        let body = json!({
            "number": number, "agent_id": self.fixture.agent, "variables": { "company": WORD },
            "allowed_addresses": ["203.0.113.0/24"], "headers": ["X-Customer"],
        });
        let mapping = self
            .keyed(traces, Spelling::Urn, &self.at("inbound-mappings"), body)
            .await;
        let mapping = id(&mapping.expect(201));
        let at = self.at(&format!("inbound-mappings/{mapping}"));
        let rule = self.rule_of(&mapping).await;
        let (room, identity) = self.ring(&mapping, &rule, "one").await;
        let claim = json!({ "room_name": room["room_name"] });
        // LiveKit's error messages repeat the request.
        for method in ["ListParticipants", "ListRooms"] {
            self.fake.set(method, Fault::Telling);
            self.worker
                .post(&format!("{at}/claim"), &claim)
                .await
                .expect_error(503, "unavailable");
            self.fake.set(method, Fault::None);
        }
        let claimed = self
            .worker
            .post(&format!("{at}/claim"), &claim)
            .await
            .expect(200);
        let session = self.at(&format!(
            "sessions/{}",
            claimed["session_id"].as_str().unwrap()
        ));
        traces.caller_room = room.clone();
        let left = json!({
            "sid": "PA_one", "identity": identity, "kind": "SIP", "disconnectReason": "CLIENT_INITIATED",
            "attributes": { "sip.ruleID": rule, "sip.phoneNumber": CALLER, "sip.callStatus": "hangup" },
        });
        self.fake.set("DeleteRoom", Fault::Telling);
        self.deliver(&event(
            "EV_left",
            "participant_left",
            &room,
            now(),
            Some(left),
        ))
        .await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        self.fake.set("DeleteRoom", Fault::None);
        let of_call = json!({ "id": claimed["session_id"] });
        self.session_becomes(&of_call, &["ended", "failed"]).await;
        traces.deletions.push(session);

        let never = json!({ "hours": { "time_zone": "Europe/Berlin", "open": [] } });
        self.fixture.admin.patch(&at, &never).await.expect(200);
        let rule = self.rule_of(&mapping).await;
        let (room, identity) = self.ring(&mapping, &rule, "two").await;
        self.deliver(&event(
            "EV_two",
            "participant_joined",
            &room,
            now(),
            joined(&rule, &identity),
        ))
        .await;
        let (room, _) = self.ring(&mapping, &rule, "three").await;
        let claim = json!({ "room_name": room["room_name"] });
        self.worker
            .post(&format!("{at}/claim"), &claim)
            .await
            .expect_error(409, "closed");
        let open = json!({ "hours": null });
        self.fixture.admin.patch(&at, &open).await.expect(200);
        self.rule_of(&mapping).await;
        traces.deletions.push(at);
    }

    async fn rule_of(&self, mapping: &str) -> String {
        let path = self.at(&format!("inbound-mappings/{mapping}"));
        eventually("LiveKit has it", async || {
            let mapping = self.fixture.admin.get(&path).await.expect(200);
            (mapping["sync"]["state"] == "synced").then_some(())
        })
        .await;
        let prefix = format!("{}-mapping-{mapping}", self.schema);
        let rules = livekit().list_dispatch_rules().await.unwrap();
        let rule = rules
            .into_iter()
            .find(|rule| rule.name.starts_with(&prefix));
        rule.unwrap().sid
    }

    /// A call that LiveKit has accepted: its room exists, and the caller is in it.
    async fn ring(&self, mapping: &str, rule: &str, name: &str) -> (Value, String) {
        let room = format!("{}-in-{mapping}_{CALLER}_{name}", self.schema);
        let request = RoomRequest {
            name: room.clone(),
            empty_timeout: 60,
            departure_timeout: 20,
            max_participants: 10,
            agent_name: "patchbay-agent".to_owned(),
            dispatch_metadata: json!({ "mapping_id": mapping }).to_string(),
        };
        let made = livekit().create_room(&request).await.unwrap();
        let identity = format!("sip_{CALLER}_{name}");
        let mut caller = proto::ParticipantInfo {
            sid: format!("PA_{name}"),
            identity: identity.clone(),
            name: format!("Phone {CALLER}"),
            kind: proto::participant_info::Kind::Sip.into(),
            state: proto::participant_info::State::Active.into(),
            ..proto::ParticipantInfo::default()
        };
        for (key, value) in [
            ("sip.ruleID", rule),
            ("sip.callStatus", "ringing"),
            ("sip.phoneNumber", CALLER),
            ("sip.callID", &format!("SCL_{WORD}")),
        ] {
            caller.attributes.insert(key.to_owned(), value.to_owned());
        }
        self.fake.exchange().enters(&room, caller);
        (json!({ "room_name": room, "room_sid": made.sid }), identity)
    }
}

/// A caller that has joined.
pub(super) fn joined(rule: &str, identity: &str) -> Option<Value> {
    let sid = format!("PA_{}", identity.rsplit('_').next().unwrap());
    Some(json!({
        "sid": sid, "identity": identity, "name": format!("Phone {CALLER}"), "kind": "SIP",
        "attributes": { "sip.ruleID": rule, "sip.callStatus": "ringing", "sip.phoneNumber": CALLER },
    }))
}
