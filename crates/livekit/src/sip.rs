//! Telephony: trunks and dispatch rules, which livekit-server stores, and calls, which its SIP service executes.

use std::{collections::BTreeMap, time::Duration};

use livekit_api::access_token::{SIPGrants, VideoGrants};
use livekit_protocol as proto;
use tracing::instrument;

use crate::{client::LiveKit, error::Error, rooms::room_without_caller, storable, twirp::Grants};

pub(crate) const SIP: &str = "SIP";
/// Page size of lists.
const PAGE: i32 = 200;

/// SIP transport to a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// As the carrier's DNS records say.
    Auto,
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
}

/// A user name and its password.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// An outbound trunk.
#[derive(Clone)]
pub struct OutboundTrunk {
    /// Name, by which a sync finds it.
    pub name: String,
    /// Host and port of the carrier.
    pub address: String,
    /// Transport.
    pub transport: Transport,
    /// Numbers that calls may come from, in E.164.
    pub numbers: Vec<String>,
    /// Credentials at the carrier.
    pub credentials: Option<Credentials>,
}

/// A trunk or dispatch rule in LiveKit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipObject {
    /// LiveKit's id.
    pub sid: String,
    /// Its name.
    pub name: String,
    /// A rule's trunks; none for a trunk.
    pub trunk_sids: Vec<String>,
}

/// An outbound call.
#[derive(Clone, Debug)]
pub struct Dial {
    /// LiveKit's id of the trunk.
    pub trunk_sid: String,
    /// The number to call, in E.164.
    pub to: String,
    /// The caller id, in E.164; the trunk's first number by default.
    pub from: Option<String>,
    /// The room.
    pub room: String,
    /// Identity of the call's participant.
    pub identity: String,
    /// Maximum ringing time.
    pub ring: Duration,
    /// Maximum duration of the call.
    pub longest: Duration,
}

/// An answered call.
#[derive(Clone, Debug)]
pub struct Answered {
    /// LiveKit's id of the call.
    pub sip_call_id: String,
}

impl LiveKit {
    /// Dials, and waits until the call is answered or has failed. NOT idempotent: never retry it when the outcome
    /// is unknown.
    #[instrument(skip_all, fields(room = %room_without_caller(&dial.room)))]
    pub async fn dial(&self, dial: &Dial) -> Result<Answered, Error> {
        let body = proto::CreateSipParticipantRequest {
            sip_trunk_id: dial.trunk_sid.clone(),
            sip_call_to: dial.to.clone(),
            sip_number: dial.from.clone().unwrap_or_default(),
            room_name: dial.room.clone(),
            participant_identity: dial.identity.clone(),
            ringing_timeout: Some(span(dial.ring)),
            max_call_duration: Some(span(dial.longest)),
            wait_until_answered: true,
            ..proto::CreateSipParticipantRequest::default()
        };
        let limit = dial.ring + self.settings.timeout;
        let answer: proto::SipParticipantInfo = self
            .call_within(limit, SIP, "CreateSIPParticipant", calls(), &body)
            .await?;
        Ok(Answered {
            sip_call_id: storable::text(answer.sip_call_id),
        })
    }

    /// Transfers a call to another number or SIP address (`tel:…` or `sip:…`); its participant then leaves the
    /// room. NOT idempotent.
    #[instrument(skip_all, fields(room = %room_without_caller(room)), err)]
    pub async fn transfer(
        &self,
        (room, identity): (&str, &str),
        to: &str,
        ring: Duration,
    ) -> Result<(), Error> {
        let body = proto::TransferSipParticipantRequest {
            participant_identity: identity.to_owned(),
            room_name: room.to_owned(),
            transfer_to: to.to_owned(),
            ringing_timeout: Some(span(ring)),
            ..proto::TransferSipParticipantRequest::default()
        };
        let grants = Grants {
            video: VideoGrants {
                room_admin: true,
                room: room.to_owned(),
                ..VideoGrants::default()
            },
            ..calls()
        };
        let limit = ring + self.settings.timeout;
        let _: Ignored = self
            .call_within(limit, SIP, "TransferSIPParticipant", grants, &body)
            .await?;
        Ok(())
    }

    /// Calls an RPC method of a participant and returns its response. NOT idempotent.
    #[instrument(skip_all, fields(room = %room_without_caller(room), rpc = method), err)]
    pub async fn perform_rpc(
        &self,
        (room, identity): (&str, &str),
        method: &str,
        payload: &str,
        timeout: Duration,
    ) -> Result<String, Error> {
        let body = proto::PerformRpcRequest {
            room: room.to_owned(),
            destination_identity: identity.to_owned(),
            method: method.to_owned(),
            payload: payload.to_owned(),
            response_timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        };
        let grants = VideoGrants {
            room_admin: true,
            room: room.to_owned(),
            ..VideoGrants::default()
        };
        let limit = timeout + self.settings.timeout;
        let answer: proto::PerformRpcResponse = self
            .call_within(limit, "RoomService", "PerformRpc", grants, &body)
            .await?;
        Ok(answer.payload)
    }

    /// All outbound trunks.
    #[instrument(skip_all, err)]
    pub async fn list_outbound_trunks(&self) -> Result<Vec<SipObject>, Error> {
        let mut found: Vec<SipObject> = Vec::new();
        loop {
            let body = proto::ListSipOutboundTrunkRequest {
                page: page_after(found.last()),
                ..proto::ListSipOutboundTrunkRequest::default()
            };
            let answer: proto::ListSipOutboundTrunkResponse = self
                .call(SIP, "ListSIPOutboundTrunk", admin(), &body)
                .await?;
            let more = answer.items.into_iter().map(|item| SipObject {
                sid: item.sip_trunk_id,
                name: item.name,
                trunk_sids: Vec::new(),
            });
            if !take_page(&mut found, more.collect()) {
                return Ok(found);
            }
        }
    }

    /// Creates a trunk, or replaces the one with this id; returns its id. Creating is NOT idempotent.
    #[instrument(skip_all, fields(object = %trunk.name), err)]
    pub async fn put_outbound_trunk(
        &self,
        sid: Option<&str>,
        trunk: &OutboundTrunk,
    ) -> Result<String, Error> {
        let info = outbound(trunk);
        let made: proto::SipOutboundTrunkInfo = match sid {
            None => {
                let body = proto::CreateSipOutboundTrunkRequest { trunk: Some(info) };
                self.call(SIP, "CreateSIPOutboundTrunk", admin(), &body)
                    .await?
            }
            Some(sid) => {
                let body = proto::UpdateSipOutboundTrunkRequest {
                    sip_trunk_id: sid.to_owned(),
                    action: Some(proto::update_sip_outbound_trunk_request::Action::Replace(
                        info,
                    )),
                };
                self.call(SIP, "UpdateSIPOutboundTrunk", admin(), &body)
                    .await?
            }
        };
        named(made.sip_trunk_id)
    }

    /// Deletes a trunk of either direction. A missing one is no error.
    #[instrument(skip_all, fields(sid = sid), err)]
    pub async fn delete_trunk(&self, sid: &str) -> Result<(), Error> {
        let body = proto::DeleteSipTrunkRequest {
            sip_trunk_id: sid.to_owned(),
        };
        let deleted: Result<proto::SipTrunkInfo, _> =
            self.call(SIP, "DeleteSIPTrunk", admin(), &body).await;
        gone(deleted.map(drop))
    }
}

/// A response whose content is ignored.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Ignored {}

fn outbound(trunk: &OutboundTrunk) -> proto::SipOutboundTrunkInfo {
    let (auth_username, auth_password) = plain(trunk.credentials.as_ref());
    proto::SipOutboundTrunkInfo {
        name: trunk.name.clone(),
        address: trunk.address.clone(),
        transport: match trunk.transport {
            Transport::Auto => proto::SipTransport::Auto,
            Transport::Udp => proto::SipTransport::Udp,
            Transport::Tcp => proto::SipTransport::Tcp,
            Transport::Tls => proto::SipTransport::Tls,
        }
        .into(),
        numbers: trunk.numbers.clone(),
        auth_username,
        auth_password,
        ..proto::SipOutboundTrunkInfo::default()
    }
}

pub(crate) fn plain(credentials: Option<&Credentials>) -> (String, String) {
    credentials.map_or_else(Default::default, |given| {
        (given.username.clone(), given.password.clone())
    })
}

/// Appends a page; false if it was the last one.
pub(crate) fn take_page(found: &mut Vec<SipObject>, page: Vec<SipObject>) -> bool {
    let known: BTreeMap<_, ()> = found.iter().map(|o| (o.sid.clone(), ())).collect();
    let full = page.len() >= usize::try_from(PAGE).unwrap_or_default();
    let before = found.len();
    found.extend(page.into_iter().filter(|o| !known.contains_key(&o.sid)));
    // A server without pagination returns everything each time.
    full && found.len() > before
}

pub(crate) fn page_after(last: Option<&SipObject>) -> Option<proto::Pagination> {
    Some(proto::Pagination {
        after_id: last.map(|object| object.sid.clone()).unwrap_or_default(),
        limit: PAGE,
    })
}

pub(crate) fn named(sid: String) -> Result<String, Error> {
    if sid.is_empty() {
        return Err(Error::Garbled("a SIP object without id".to_owned()));
    }
    Ok(sid)
}

pub(crate) fn gone(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => outcome,
    }
}

pub(crate) fn span(duration: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

pub(crate) fn admin() -> Grants {
    Grants {
        sip: SIPGrants {
            admin: true,
            ..SIPGrants::default()
        },
        ..Grants::default()
    }
}

fn calls() -> Grants {
    Grants {
        sip: SIPGrants {
            call: true,
            ..SIPGrants::default()
        },
        ..Grants::default()
    }
}
