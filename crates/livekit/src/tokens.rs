//! Join tokens, with which a user's client connects to a room.

use std::time::Duration;

use livekit_api::access_token::VideoGrants;
use patchbay_domain::states::TokenRole;

use crate::{client::LiveKit, error::Error};

/// A token to create.
#[derive(Debug)]
pub struct JoinToken<'a> {
    /// The only room that it is valid for.
    pub room: &'a str,
    /// Identity in the room; a second participant with the same identity replaces the first.
    pub identity: &'a str,
    /// Display name.
    pub name: &'a str,
    /// The role, which decides the grants.
    pub role: TokenRole,
    /// How long the token can be used to join.
    pub ttl: Duration,
    /// Attributes of the participant, visible to everyone in the room.
    pub attributes: Vec<(String, String)>,
}

impl LiveKit {
    /// Signs a join token, without any request.
    pub fn mint(&self, token: &JoinToken<'_>) -> Result<String, Error> {
        let speaks = token.role != TokenRole::Observer;
        // No grants to create or list rooms, and no SIP or agent grants.
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
