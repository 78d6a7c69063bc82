//! The desired state in LiveKit of a SIP trunk or an inbound mapping.

use std::time::Duration;

use patchbay_domain::{
    MappingId, TrunkId,
    sip::{SipAddress, Transport},
    states::SipObjectKind,
};
use patchbay_livekit::{Credentials, DispatchRule, InboundTrunk, OutboundTrunk};
use patchbay_persistence::{
    TenantTx, VerifiedTenant,
    inbound_mappings::{self, Mapping},
    sip_objects::SipObject,
    sip_trunks::{self, SipTrunk},
};
use serde_json::json;

use super::{
    answering::RING_SECONDS,
    sip_names::{prefix, room_prefix},
};
use crate::{Error, Service, jobs::error::JobError, secrets, settings::seconds};

/// The desired state of a resource in LiveKit.
pub(super) enum Definition {
    /// An outbound trunk.
    Trunk(OutboundTrunk),
    /// An inbound trunk and its dispatch rule, in which the trunk's id is not filled in yet.
    Mapping(InboundTrunk, DispatchRule),
    /// Nothing, because the resource is disabled.
    Disabled,
    /// Nothing, because the resource was deleted.
    Absent(VerifiedTenant),
}

impl Definition {
    /// Whether the resource was deleted.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }

    /// Name that its objects in LiveKit are to have; it ends in the resource's revision.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Trunk(trunk) => Some(trunk.name.clone()),
            Self::Mapping(trunk, _) => Some(trunk.name.clone()),
            Self::Disabled | Self::Absent(_) => None,
        }
    }
}

/// Returns the desired state of a resource in LiveKit.
pub(super) async fn definition_of(
    service: &Service,
    tx: &mut TenantTx,
    object: &SipObject,
) -> Result<Definition, JobError> {
    let password = secrets::find_owned(service, tx, object.id).await?;
    let credentials = |username: Option<String>| match (username, password) {
        (Some(username), Some(password)) => Ok(Some(Credentials { username, password })),
        (None, _) => Ok(None),
        // Without a password LiveKit would not authenticate callers at all.
        (Some(_), None) => Err(Error::internal("a user name without its password")),
    };
    let prefix = prefix(service, object);
    if object.kind == SipObjectKind::Trunk {
        let found = sip_trunks::find(tx, TrunkId::new(object.id)).await?;
        return Ok(match found {
            Some((mut trunk, _)) => {
                let credentials = credentials(trunk.username.take())?;
                Definition::Trunk(outbound(&prefix, trunk, credentials))
            }
            None => Definition::Absent(tx.verify_tenant().await?),
        });
    }
    let found = inbound_mappings::find(tx, MappingId::new(object.id)).await?;
    Ok(match found {
        Some((mut mapping, _)) if mapping.enabled => {
            let credentials = credentials(mapping.username.take())?;
            let (trunk, rule) = inbound(service, &prefix, mapping, credentials);
            Definition::Mapping(trunk, rule)
        }
        Some(_) => Definition::Disabled,
        None => Definition::Absent(tx.verify_tenant().await?),
    })
}

fn outbound(prefix: &str, trunk: SipTrunk, credentials: Option<Credentials>) -> OutboundTrunk {
    OutboundTrunk {
        name: format!("{prefix}{}", trunk.revision),
        address: with_port(&trunk),
        transport: match trunk.transport {
            Transport::Auto => patchbay_livekit::Transport::Auto,
            Transport::Udp => patchbay_livekit::Transport::Udp,
            Transport::Tcp => patchbay_livekit::Transport::Tcp,
            Transport::Tls => patchbay_livekit::Transport::Tls,
        },
        numbers: trunk.numbers,
        credentials,
    }
}

/// Returns the address with its port. Without a port LiveKit would follow the SRV records of the host name, whose
/// targets have not been checked.
fn with_port(trunk: &SipTrunk) -> String {
    let default_port = match trunk.transport {
        Transport::Tls => 5061,
        _ => 5060,
    };
    match trunk.address.parse::<SipAddress>() {
        Ok(SipAddress { host, port }) => format!("{host}:{}", port.unwrap_or(default_port)),
        Err(_) => trunk.address.clone(),
    }
}

/// Returns the participant attribute that carries a SIP header.
fn header_attribute(header: &str) -> String {
    format!("header.{}", header.to_ascii_lowercase())
}

fn inbound(
    service: &Service,
    prefix: &str,
    mapping: Mapping,
    credentials: Option<Credentials>,
) -> (InboundTrunk, DispatchRule) {
    let name = format!("{prefix}{}", mapping.revision);
    let rule = DispatchRule {
        name: name.clone(),
        trunk_sid: String::new(),
        room_prefix: room_prefix(service, mapping.id),
        agent_name: mapping.worker_name,
        metadata: json!({ "tenant_id": mapping.tenant_id, "mapping_id": mapping.id }).to_string(),
        empty_timeout: seconds(service.settings.rooms.empty_timeout),
        departure_timeout: seconds(service.settings.rooms.departure_timeout),
        max_participants: service.settings.rooms.max_participants,
    };
    let headers = mapping.headers.into_iter();
    let trunk = InboundTrunk {
        name,
        number: mapping.number,
        allowed_addresses: mapping.allowed_addresses,
        ring: Duration::from_secs(RING_SECONDS.into()),
        credentials,
        headers_to_attributes: headers
            .map(|header| (header.clone(), header_attribute(&header)))
            .collect(),
    };
    (trunk, rule)
}
