//! Inbound calls: a trunk with the allowed callers of a number, and a dispatch rule with the agent.

use std::{collections::HashMap, time::Duration};

use livekit_protocol as proto;
use tracing::instrument;

use crate::{
    client::LiveKit,
    error::Error,
    sip::{
        Credentials, Ignored, SIP, SipObject, admin, gone, named, page_after, plain, span,
        take_page,
    },
};

/// An inbound trunk: who may call a number.
#[derive(Clone)]
pub struct InboundTrunk {
    /// Name, by which a sync finds it.
    pub name: String,
    /// The number, in E.164.
    pub number: String,
    /// Addresses and networks that calls may come from; any if empty.
    pub allowed_addresses: Vec<String>,
    /// Maximum ringing time.
    pub ring: Duration,
    /// Credentials that callers must present.
    pub credentials: Option<Credentials>,
    /// SIP headers by the participant attributes that they become.
    pub headers_to_attributes: HashMap<String, String>,
}

/// A dispatch rule: the agent that answers the calls of a trunk.
#[derive(Clone, Debug)]
pub struct DispatchRule {
    /// Name, by which a sync finds it.
    pub name: String,
    /// LiveKit's id of the trunk.
    pub trunk_sid: String,
    /// Prefix of the room names; each call has a room of its own.
    pub room_prefix: String,
    /// Agent name to dispatch.
    pub agent_name: String,
    /// Metadata of the dispatch. Not secret.
    pub metadata: String,
    /// Seconds that the room waits for its first participant.
    pub empty_timeout: u32,
    /// Seconds that the room stays after its last participant has left.
    pub departure_timeout: u32,
    /// Maximum participants at a time.
    pub max_participants: u32,
}

impl LiveKit {
    /// All inbound trunks.
    #[instrument(skip_all, err)]
    pub async fn list_inbound_trunks(&self) -> Result<Vec<SipObject>, Error> {
        let mut found: Vec<SipObject> = Vec::new();
        loop {
            let body = proto::ListSipInboundTrunkRequest {
                page: page_after(found.last()),
                ..proto::ListSipInboundTrunkRequest::default()
            };
            let answer: proto::ListSipInboundTrunkResponse = self
                .call(SIP, "ListSIPInboundTrunk", admin(), &body)
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
    pub async fn put_inbound_trunk(
        &self,
        sid: Option<&str>,
        trunk: &InboundTrunk,
    ) -> Result<String, Error> {
        let (auth_username, auth_password) = plain(trunk.credentials.as_ref());
        let info = proto::SipInboundTrunkInfo {
            name: trunk.name.clone(),
            numbers: vec![trunk.number.clone()],
            allowed_addresses: trunk.allowed_addresses.clone(),
            auth_username,
            auth_password,
            ringing_timeout: Some(span(trunk.ring)),
            headers_to_attributes: trunk.headers_to_attributes.clone(),
            ..proto::SipInboundTrunkInfo::default()
        };
        let made: proto::SipInboundTrunkInfo = match sid {
            None => {
                let body = proto::CreateSipInboundTrunkRequest { trunk: Some(info) };
                self.call(SIP, "CreateSIPInboundTrunk", admin(), &body)
                    .await?
            }
            Some(sid) => {
                let body = proto::UpdateSipInboundTrunkRequest {
                    sip_trunk_id: sid.to_owned(),
                    action: Some(proto::update_sip_inbound_trunk_request::Action::Replace(
                        info,
                    )),
                };
                self.call(SIP, "UpdateSIPInboundTrunk", admin(), &body)
                    .await?
            }
        };
        named(made.sip_trunk_id)
    }

    /// All dispatch rules.
    #[instrument(skip_all, err)]
    pub async fn list_dispatch_rules(&self) -> Result<Vec<SipObject>, Error> {
        let mut found: Vec<SipObject> = Vec::new();
        loop {
            let body = proto::ListSipDispatchRuleRequest {
                page: page_after(found.last()),
                ..proto::ListSipDispatchRuleRequest::default()
            };
            let answer: proto::ListSipDispatchRuleResponse = self
                .call(SIP, "ListSIPDispatchRule", admin(), &body)
                .await?;
            let more = answer.items.into_iter().map(|item| SipObject {
                sid: item.sip_dispatch_rule_id,
                name: item.name,
                trunk_sids: item.trunk_ids,
            });
            if !take_page(&mut found, more.collect()) {
                return Ok(found);
            }
        }
    }

    /// Creates a rule, or replaces the one with this id; returns its id. Creating is NOT idempotent.
    #[instrument(skip_all, fields(object = %rule.name), err)]
    pub async fn put_dispatch_rule(
        &self,
        sid: Option<&str>,
        rule: &DispatchRule,
    ) -> Result<String, Error> {
        let info = rule_info(rule);
        let made: proto::SipDispatchRuleInfo = match sid {
            None => {
                let body = proto::CreateSipDispatchRuleRequest {
                    dispatch_rule: Some(info),
                    ..proto::CreateSipDispatchRuleRequest::default()
                };
                self.call(SIP, "CreateSIPDispatchRule", admin(), &body)
                    .await?
            }
            Some(sid) => {
                let body = proto::UpdateSipDispatchRuleRequest {
                    sip_dispatch_rule_id: sid.to_owned(),
                    action: Some(proto::update_sip_dispatch_rule_request::Action::Replace(
                        info,
                    )),
                };
                self.call(SIP, "UpdateSIPDispatchRule", admin(), &body)
                    .await?
            }
        };
        named(made.sip_dispatch_rule_id)
    }

    /// Deletes a rule. A missing one is no error.
    #[instrument(skip_all, fields(sid = sid), err)]
    pub async fn delete_dispatch_rule(&self, sid: &str) -> Result<(), Error> {
        let body = proto::DeleteSipDispatchRuleRequest {
            sip_dispatch_rule_id: sid.to_owned(),
        };
        let deleted: Result<Ignored, _> = self
            .call(SIP, "DeleteSIPDispatchRule", admin(), &body)
            .await;
        gone(deleted.map(drop))
    }
}

fn rule_info(rule: &DispatchRule) -> proto::SipDispatchRuleInfo {
    let individual = proto::SipDispatchRuleIndividual {
        room_prefix: rule.room_prefix.clone(),
        ..proto::SipDispatchRuleIndividual::default()
    };
    proto::SipDispatchRuleInfo {
        name: rule.name.clone(),
        rule: Some(proto::SipDispatchRule {
            rule: Some(proto::sip_dispatch_rule::Rule::DispatchRuleIndividual(
                individual,
            )),
        }),
        // A rule without a trunk would match every call.
        trunk_ids: vec![rule.trunk_sid.clone()],
        room_config: Some(proto::RoomConfiguration {
            empty_timeout: rule.empty_timeout,
            departure_timeout: rule.departure_timeout,
            max_participants: rule.max_participants,
            agents: vec![proto::RoomAgentDispatch {
                agent_name: rule.agent_name.clone(),
                metadata: rule.metadata.clone(),
                ..proto::RoomAgentDispatch::default()
            }],
            ..proto::RoomConfiguration::default()
        }),
        ..proto::SipDispatchRuleInfo::default()
    }
}
