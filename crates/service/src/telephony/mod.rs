//! Phone calls in both directions, and the SIP trunks and dispatch rules that they need in LiveKit.

pub mod actions;
pub mod answering;
mod caller;
pub mod calls;
pub mod claim;
pub mod credentials;
pub mod dial;
mod dial_outcome;
pub mod hang_up;
pub mod inbound_call;
pub mod limits;
pub mod mappings;
pub mod origins;
pub mod resolve;
mod sip_definition;
mod sip_names;
pub mod sip_object;
pub mod sip_sweep;
pub mod sip_sync;
pub mod trunks;
