//! Fake telephony behind the fake LiveKit: the calls of the SIP service, and their participants in rooms. Agents
//! can be added to all rooms. Trunks and rules are in the real server.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, http::StatusCode};
use livekit_protocol as proto;
use prost::Message;
use serde_json::json;

/// Behaviour of a dialled number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// It answers.
    Answers,
    /// It rings until the test changes its state.
    Rings,
    /// The carrier refuses with this SIP status.
    Refuses(u16),
    /// LiveKit fails with this status, without a SIP status.
    Fails(u16),
    /// It rings, and LiveKit's response cannot be decoded.
    Garbled,
    /// It answers, but its participant appears only after three seconds.
    Slow,
    /// LiveKit does not dial, and its response cannot be decoded.
    Vanishes,
}

#[derive(Default)]
pub struct Exchange {
    callees: Mutex<HashMap<String, Callee>>,
    dials: Mutex<Vec<proto::CreateSipParticipantRequest>>,
    present: Mutex<Vec<(String, proto::ParticipantInfo)>>,
    agents: Mutex<bool>,
    transfers: Mutex<Vec<String>>,
    pressed: Mutex<Vec<String>>,
}

impl Exchange {
    /// From now on an agent is in every created room.
    pub fn with_agents(&self) {
        *self.agents.lock().unwrap() = true;
    }

    /// Sets the behaviour of a number; it answers by default.
    pub fn set(&self, number: &str, callee: Callee) {
        self.callees
            .lock()
            .unwrap()
            .insert(number.to_owned(), callee);
    }

    /// The dial requests so far.
    pub fn dials(&self) -> Vec<proto::CreateSipParticipantRequest> {
        self.dials.lock().unwrap().clone()
    }

    /// Changes the state of a telephone, such as to `ringing` or `active`.
    pub fn becomes(&self, identity: &str, status: &str) {
        let mut present = self.present.lock().unwrap();
        for (_, info) in present.iter_mut().filter(|(_, p)| p.identity == identity) {
            let key = "sip.callStatus".to_owned();
            info.attributes.insert(key, status.to_owned());
        }
    }

    /// Removes a participant, without a webhook.
    pub fn leaves(&self, identity: &str) {
        self.present
            .lock()
            .unwrap()
            .retain(|(_, p)| p.identity != identity);
    }

    /// The telephones in a room.
    pub fn telephones(&self, room: &str) -> Vec<String> {
        let present = self.present.lock().unwrap();
        let here = present
            .iter()
            .filter(|(name, p)| name == room && p.kind() == proto::participant_info::Kind::Sip);
        here.map(|(_, p)| p.identity.clone()).collect()
    }

    /// Adds a participant to a room.
    pub fn enters(&self, room: &str, info: proto::ParticipantInfo) {
        self.present.lock().unwrap().push((room.to_owned(), info));
    }

    /// The response to a request of the SIP service; none if the real server is to handle it.
    pub(super) async fn answer(&self, method: &str, body: &[u8]) -> Option<HttpResponse> {
        match method {
            "CreateSIPParticipant" => {}
            "TransferSIPParticipant" => return Some(self.transfer(body)),
            "PerformRpc" => {
                let request = proto::PerformRpcRequest::decode(body).unwrap();
                self.pressed.lock().unwrap().push(request.payload);
                return Some(HttpResponse::Ok().finish());
            }
            _ => return None,
        }
        let request = proto::CreateSipParticipantRequest::decode(body).unwrap();
        self.dials.lock().unwrap().push(request.clone());
        let callees = self.callees.lock().unwrap().clone();
        let callee = callees.get(&request.sip_call_to).copied();
        let callee = callee.unwrap_or(Callee::Answers);
        Some(self.dial(&request, callee).await)
    }

    /// The targets of transfers so far.
    pub fn transfers(&self) -> Vec<String> {
        self.transfers.lock().unwrap().clone()
    }

    /// The payloads of RPC requests so far.
    pub fn pressed(&self) -> Vec<String> {
        self.pressed.lock().unwrap().clone()
    }

    fn transfer(&self, body: &[u8]) -> HttpResponse {
        let request = proto::TransferSipParticipantRequest::decode(body).unwrap();
        let to = request.transfer_to;
        self.transfers.lock().unwrap().push(to.clone());
        if let Some(Callee::Refuses(status)) = self.callees.lock().unwrap().get(&to) {
            return twirp(403, Some(*status));
        }
        self.leaves(&request.participant_identity);
        HttpResponse::Ok().finish()
    }

    async fn dial(
        &self,
        request: &proto::CreateSipParticipantRequest,
        callee: Callee,
    ) -> HttpResponse {
        let identity = &*request.participant_identity;
        match callee {
            Callee::Refuses(status) => return twirp(429, Some(status)),
            Callee::Fails(status) => return twirp(status, None),
            Callee::Vanishes => return HttpResponse::Ok().body(vec![0xff; 40]),
            Callee::Slow => tokio::time::sleep(Duration::from_secs(3)).await,
            _ => {}
        }
        self.enters(&request.room_name, telephone(identity));
        match callee {
            Callee::Answers | Callee::Slow => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.becomes(identity, "active");
            }
            Callee::Garbled => {
                self.becomes(identity, "ringing");
                return HttpResponse::Ok().body(vec![0xff; 40]);
            }
            _ => self.becomes(identity, "ringing"),
        }
        self.until_answered(request).await
    }

    async fn until_answered(&self, request: &proto::CreateSipParticipantRequest) -> HttpResponse {
        let ring = request.ringing_timeout.as_ref().map_or(0, |t| t.seconds);
        let deadline = Instant::now() + Duration::from_secs(u64::try_from(ring).unwrap());
        loop {
            let status = {
                let present = self.present.lock().unwrap();
                let here = present
                    .iter()
                    .find(|(_, p)| p.identity == request.participant_identity);
                here.map(|(_, p)| p.attributes["sip.callStatus"].clone())
            };
            match status.as_deref() {
                None => return twirp(408, Some(487)),
                Some("active") => break,
                _ if Instant::now() > deadline => {
                    self.leaves(&request.participant_identity);
                    return twirp(408, None);
                }
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        let info = proto::SipParticipantInfo {
            participant_identity: request.participant_identity.clone(),
            room_name: request.room_name.clone(),
            sip_call_id: "SCL_1".to_owned(),
            ..proto::SipParticipantInfo::default()
        };
        HttpResponse::Ok().body(info.encode_to_vec())
    }

    /// Updates the participants after a request that the real server has handled.
    pub(super) fn note(&self, method: &str, body: &[u8]) {
        match method {
            "CreateRoom" if *self.agents.lock().unwrap() => {
                let request = proto::CreateRoomRequest::decode(body).unwrap();
                let known = {
                    let present = self.present.lock().unwrap();
                    present.iter().any(|(room, _)| *room == request.name)
                };
                if !known && !request.agents.is_empty() {
                    self.enters(&request.name, agent(&request.name));
                }
            }
            "DeleteRoom" => {
                let request = proto::DeleteRoomRequest::decode(body).unwrap();
                let mut present = self.present.lock().unwrap();
                present.retain(|(room, _)| *room != request.room);
            }
            "RemoveParticipant" => {
                let request = proto::RoomParticipantIdentity::decode(body).unwrap();
                self.leaves(&request.identity);
            }
            _ => {}
        }
    }

    /// The participants of a room, to be appended to the real ones: concatenated protobuf messages are merged.
    pub(super) fn present_in(&self, body: &[u8]) -> Vec<u8> {
        let request = proto::ListParticipantsRequest::decode(body).unwrap();
        let present = self.present.lock().unwrap();
        let here = present.iter().filter(|(room, _)| *room == request.room);
        let participants = here.map(|(_, info)| info.clone()).collect();
        proto::ListParticipantsResponse { participants }.encode_to_vec()
    }
}

fn telephone(identity: &str) -> proto::ParticipantInfo {
    let attributes = [("sip.callStatus", "dialing"), ("sip.callID", "SCL_1")];
    proto::ParticipantInfo {
        sid: format!("PA_{identity}"),
        identity: identity.to_owned(),
        kind: proto::participant_info::Kind::Sip.into(),
        state: proto::participant_info::State::Active.into(),
        attributes: attributes
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..proto::ParticipantInfo::default()
    }
}

fn agent(room: &str) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid: format!("PA_agent_{room}"),
        identity: format!("agent-of-{room}"),
        kind: proto::participant_info::Kind::Agent.into(),
        state: proto::participant_info::State::Active.into(),
        ..proto::ParticipantInfo::default()
    }
}

/// An error in LiveKit's format.
fn twirp(status: u16, sip: Option<u16>) -> HttpResponse {
    let meta = sip.map_or(
        json!({}),
        |code| json!({ "sip_status_code": code.to_string(), "sip_status": "words of the carrier" }),
    );
    let body = json!({ "code": "unavailable", "msg": "no answer", "meta": meta });
    HttpResponse::build(StatusCode::from_u16(status).unwrap()).json(body)
}
