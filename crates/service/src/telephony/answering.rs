//! Who answers calls to a mapping, and when.

use chrono::{DateTime, Utc};
use patchbay_domain::{AgentId, hours::OpeningHours};
use patchbay_persistence::inbound_mappings::Mapping;

use crate::{Code, Error, Result, stored};

/// How long a caller may hear it ring, in seconds.
pub const RING_SECONDS: u32 = 60;

/// Who answers calls to a mapping.
pub struct Answering {
    /// The agent.
    pub agent_id: AgentId,
    /// Whether it is within the opening hours.
    pub is_open: bool,
}

/// Who answers calls to this mapping at this time.
pub fn answering(mapping: &Mapping, at: DateTime<Utc>) -> Result<Answering> {
    if !mapping.enabled {
        return Err(Error::new(Code::MappingDisabled, "Enable it first."));
    }
    let read = |hours| stored::json(mapping.tenant_id, "inbound_mappings.hours", hours);
    let hours: Option<OpeningHours> = mapping.hours.clone().map(read).transpose()?;
    let is_open = hours.is_none_or(|hours| hours.is_open(at));
    match (is_open, mapping.closed_agent_id) {
        (true, _) => Ok(Answering {
            agent_id: mapping.agent_id,
            is_open,
        }),
        (false, Some(agent_id)) => Ok(Answering { agent_id, is_open }),
        (false, None) => {
            let detail = "It is outside the opening hours, and no agent answers then.";
            Err(Error::new(Code::Closed, detail))
        }
    }
}
