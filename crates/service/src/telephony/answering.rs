//! Selection of the agent that answers calls to an inbound mapping.

use chrono::{DateTime, Utc};
use patchbay_domain::{AgentId, hours::OpeningHours};
use patchbay_persistence::inbound_mappings::Mapping;

use crate::{Code, Error, Result, stored};

/// Ring timeout of inbound calls, in seconds.
pub const RING_SECONDS: u32 = 60;

/// The agent that answers calls to a mapping.
pub struct AnsweringAgent {
    /// The agent.
    pub agent_id: AgentId,
    /// Whether the mapping is within its opening hours.
    pub is_open: bool,
}

/// Selects the agent that answers calls to this mapping at this time.
pub fn select_agent(mapping: &Mapping, at: DateTime<Utc>) -> Result<AnsweringAgent> {
    if !mapping.enabled {
        return Err(Error::new(
            Code::MappingDisabled,
            "Enable the mapping first.",
        ));
    }
    let read = |hours| stored::json(mapping.tenant_id, "inbound_mappings.hours", hours);
    let hours: Option<OpeningHours> = mapping.hours.clone().map(read).transpose()?;
    let is_open = hours.is_none_or(|hours| hours.is_open(at));
    match (is_open, mapping.closed_agent_id) {
        (true, _) => Ok(AnsweringAgent {
            agent_id: mapping.agent_id,
            is_open,
        }),
        (false, Some(agent_id)) => Ok(AnsweringAgent { agent_id, is_open }),
        (false, None) => {
            let detail = "The mapping is outside its opening hours and has no agent for that time.";
            Err(Error::new(Code::Closed, detail))
        }
    }
}
