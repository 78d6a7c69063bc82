//! The parts of LiveKit that a control plane needs: rooms with their dispatches, participants, join tokens,
//! webhooks and SIP. No media passes through here.
//!
//! Every request has a timeout and is sent once: a retry is up to the calling code, which knows whether the
//! request is idempotent (`create_room` is, `create_dispatch` is not).

mod client;
mod error;
mod inbound;
mod rooms;
mod sip;
mod storable;
mod tokens;
mod twirp;
mod webhooks;

pub use client::{LiveKit, Settings};
pub use error::{Error, SipStatus};
pub use inbound::{DispatchRule, InboundTrunk};
pub use rooms::{Dispatch, Participant, Room, RoomRequest, room_without_caller};
pub use sip::{Answered, Credentials, Dial, OutboundTrunk, SipObject, Transport};
pub use tokens::JoinToken;
pub use webhooks::{Event, EventParticipant, EventRoom, Rejected, receive_event};
