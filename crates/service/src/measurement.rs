//! What has happened to a session and is counted in metrics, once the change is committed.

use std::time::Duration;

use patchbay_domain::{
    call::{CallState, Direction, KNOWN_REASONS},
    session::SessionState,
};

use crate::instruments;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// A session is over, for this reason.
    SessionOver(SessionState, Option<String>),
    /// A call is over, for this reason and with this SIP status.
    CallOver(Direction, CallState, Option<String>, Option<i32>),
    /// An agent was dispatched: for the first time, or again because no worker took it.
    Dispatched { again: bool },
    /// No worker has taken the agent's dispatches.
    DispatchLost,
    /// The agent of a worker with this name has joined this long after its dispatch.
    Joined(String, Duration),
}

impl Measurement {
    /// Counts it.
    pub fn record(self) {
        match self {
            Self::SessionOver(state, reason) => {
                instruments::record_session(state.as_str(), own_word(reason.as_deref()));
            }
            Self::CallOver(direction, state, reason, status) => {
                let end = (state.as_str(), own_word(reason.as_deref()));
                instruments::record_call(direction.as_str(), end, status);
            }
            Self::Dispatched { again: false } => instruments::record_dispatch("created"),
            Self::Dispatched { again: true } => instruments::record_dispatch("repeated"),
            Self::DispatchLost => instruments::record_dispatch("lost"),
            Self::Joined(worker_name, after) => instruments::record_join(&worker_name, after),
        }
    }
}

/// A reason, if it is the service's own word: others are free text of clients.
fn own_word(reason: Option<&str>) -> &'static str {
    let Some(reason) = reason else {
        return "";
    };
    let own = KNOWN_REASONS.into_iter().find(|known| *known == reason);
    own.unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_of_clients_is_no_attribute() {
        assert_eq!(own_word(Some("busy")), "busy");
        assert_eq!(own_word(Some("Jane Doe asked for it")), "other");
        assert_eq!(own_word(None), "");
    }
}
