//! LiveKit, as far as a control plane needs it: rooms with their dispatches, participants, join
//! tokens, webhooks and the telephone. Media never passes here.
//!
//! Every call has a timeout and is made once: repeating is a decision of the caller, who knows
//! whether the call is idempotent (`create_room` is, `create_dispatch` is not).

mod inbound;
mod rooms;
mod sip;
mod storable;
mod tokens;
mod twirp;
mod webhooks;

use std::time::Duration;

pub use inbound::{DispatchRule, InboundTrunk};
pub use rooms::{Dispatch, Participant, Room, RoomRequest, room_without_caller};
pub use sip::{Answered, Credentials, Dial, OutboundTrunk, SipObject, Transport};
pub use tokens::JoinToken;
pub use twirp::{Error, SipStatus};
pub use webhooks::{Event, EventParticipant, EventRoom, Rejected, receive_event};

/// How LiveKit is reached.
#[derive(Clone)]
pub struct Settings {
    /// Base URL of the server API; `ws(s)` is taken as `http(s)`.
    pub url: String,
    /// API key.
    pub api_key: String,
    /// API secret; at least 32 characters.
    pub api_secret: String,
    /// Most time for one call.
    pub timeout: Duration,
}

/// A LiveKit server. Cheap to clone.
#[derive(Clone)]
pub struct LiveKit {
    http: reqwest::Client,
    base: String,
    settings: Settings,
}

impl LiveKit {
    /// A client for the server; connects when first used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        let base = match settings.url.strip_prefix("ws") {
            Some(rest) => format!("http{rest}"),
            None => settings.url.clone(),
        };
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            settings,
        })
    }

    fn access_token(&self) -> livekit_api::access_token::AccessToken {
        let Settings {
            api_key,
            api_secret,
            ..
        } = &self.settings;
        livekit_api::access_token::AccessToken::with_api_key(api_key, api_secret)
    }
}
