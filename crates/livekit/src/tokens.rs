//! Join tokens: what a person's client connects with.

use std::time::Duration;

use livekit_api::access_token::VideoGrants;
use patchbay_domain::states::TokenRole;

use crate::{client::LiveKit, error::Error};

/// A token to be minted.
#[derive(Debug)]
pub struct JoinToken<'a> {
    /// The one room it is good for.
    pub room: &'a str,
    /// Identity in the room; a second participant of the same identity displaces the first.
    pub identity: &'a str,
    /// Display name.
    pub name: &'a str,
    /// What it allows.
    pub role: TokenRole,
    /// How long one may join with it.
    pub ttl: Duration,
    /// Attributes of the participant, seen by everyone in the room.
    pub attributes: Vec<(String, String)>,
}

impl LiveKit {
    /// Signs a join token. Asks nobody.
    pub fn mint(&self, token: &JoinToken<'_>) -> Result<String, Error> {
        let speaks = token.role != TokenRole::Observer;
        // Never to create or list rooms, and no SIP or agent grants.
        let grants = VideoGrants {
            room_join: true,
            room: token.room.to_owned(),
            can_publish: Some(speaks),
            can_publish_data: Some(speaks),
            can_subscribe: Some(true),
            can_update_own_metadata: Some(false),
            hidden: token.role == TokenRole::Observer,
            ..VideoGrants::default()
        };
        self.access_token()
            .with_identity(token.identity)
            .with_name(token.name)
            .with_ttl(token.ttl)
            .with_attributes(token.attributes.iter().cloned())
            .with_grants(grants)
            .to_jwt()
            .map_err(|error| Error::Token(error.to_string()))
    }
}
