//! Join tokens, with which participants connect to a session's room.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{Invalid, SessionId, UserId, states::TokenRole, text::OneLine};
use patchbay_livekit::JoinToken;
use patchbay_persistence::{TenantTx, sessions, users};
use serde_json::json;

use crate::{Code, Error, Result, Service, audit::Event};

/// Prefixes of identities that clients must not choose.
const RESERVED_PREFIXES: [&str; 3] = ["agent-", "sip_", UserId::IDENTITY];
/// Default lifetime of a token in seconds.
const DEFAULT_TTL: u32 = 600;

/// A request for a join token.
pub struct TokenRequest {
    /// Role, which determines the participant's permissions.
    pub role: TokenRole,
    /// User of the tenant who joins.
    pub user_id: Option<UserId>,
    /// Identity in the room of a participant who is not a user of the tenant.
    pub identity: Option<OneLine<1, 128>>,
    /// Display name.
    pub name: Option<OneLine<1, 200>>,
    /// Lifetime of the token in seconds.
    pub ttl_seconds: Option<u32>,
}

/// The participant for whom a token is created.
pub struct Invitee {
    /// Identity in the room.
    pub identity: String,
    /// Display name.
    pub name: String,
    /// Whether another participant may already have the identity, because it was not generated.
    pub is_chosen: bool,
    role: TokenRole,
    ttl: u32,
}

/// A signed token with the data that a client needs to connect.
pub struct MintedToken {
    /// URL of the LiveKit server.
    pub server_url: String,
    /// The signed token.
    pub participant_token: String,
    /// Name of the room that it is valid for.
    pub room_name: String,
    /// Identity of the participant.
    pub participant_identity: String,
    /// Time until which it can be used to join.
    pub expires_at: DateTime<Utc>,
}

impl TokenRequest {
    /// Validates the request as far as is possible without the database.
    pub fn check(self) -> Result<Self> {
        let reject =
            |pointer, code, message| Err(Error::invalid_at(pointer, Invalid::new(code, message)));
        if self.user_id.is_some() && self.identity.is_some() {
            return reject(
                "/identity",
                "conflict",
                "`identity` and `user_id` are mutually exclusive",
            );
        }
        let is_valid = |ttl: u32| (10..=3600).contains(&ttl);
        if !self.ttl_seconds.is_none_or(is_valid) {
            return reject("/ttl_seconds", "out_of_range", "10 to 3600 is allowed");
        }
        let is_reserved = |id: &OneLine<1, 128>| {
            RESERVED_PREFIXES
                .iter()
                .any(|prefix| id.starts_with(prefix))
        };
        if self.identity.as_ref().is_some_and(is_reserved) {
            return reject(
                "/identity",
                "reserved",
                "the prefixes `agent-`, `sip_` and `usr_` are reserved",
            );
        }
        Ok(self)
    }

    /// Looks up the user, or generates an identity if none is given.
    pub async fn resolve(self, service: &Service, tx: &mut TenantTx) -> Result<Invitee> {
        let user = match self.user_id {
            Some(id) => Some(
                users::lock_shared(tx, id)
                    .await?
                    .ok_or_else(|| Error::unknown_reference("/user_id"))?,
            ),
            None => None,
        };
        let is_chosen = user.is_some() || self.identity.is_some();
        let identity = match (&user, self.identity) {
            (Some(user), _) => user.id.identity(),
            (None, Some(identity)) => identity.into_inner(),
            (None, None) => UserId::new(service.clock.new_uuid()).identity(),
        };
        let name = self.name.map(OneLine::into_inner);
        Ok(Invitee {
            identity,
            name: name
                .or(user.map(|user| user.display_name))
                .unwrap_or_default(),
            is_chosen,
            role: self.role,
            ttl: self.ttl_seconds.unwrap_or(DEFAULT_TTL),
        })
    }
}

impl Invitee {
    /// Signs a token for joining the session.
    pub fn mint(&self, service: &Service, session: &sessions::Session) -> Result<MintedToken> {
        let participant_token = service.livekit.mint(&JoinToken {
            room: &session.room_name,
            identity: &self.identity,
            name: &self.name,
            role: self.role,
            ttl: Duration::from_secs(self.ttl.into()),
            attributes: vec![("patchbay.session_id".to_owned(), session.id.to_string())],
        })?;
        Ok(MintedToken {
            server_url: service.settings.livekit.participants_url().to_owned(),
            participant_token,
            room_name: session.room_name.clone(),
            participant_identity: self.identity.clone(),
            expires_at: service.clock.now() + TimeDelta::seconds(self.ttl.into()),
        })
    }

    /// The audit event of a created token.
    pub fn audit_event(&self, verb: &str, token: &MintedToken, session: SessionId) -> Event {
        // The identity of a user and a generated identity are ids. One chosen by the client may be personal
        // data, so it is not stored in the audit trail.
        let is_id = self.identity.starts_with(UserId::IDENTITY);
        let after = json!({
            "role": self.role,
            "identity": self.identity,
            "participant": is_id.then_some(&self.identity),
            "expires_at": token.expires_at,
        });
        Event::new(verb, "session", session, None::<&()>, Some(&after))
    }
}

/// Rejects an identity that is already in the room: on a second join, LiveKit disconnects the participant who
/// is present.
pub async fn require_identity_absent(service: &Service, room: &str, identity: &str) -> Result<()> {
    let present = service.livekit.list_participants(room).await?;
    let is_present = present
        .iter()
        .any(|participant| participant.identity == identity);
    match is_present {
        true => Err(identity_in_use()),
        false => Ok(()),
    }
}

/// The error for an identity that is already in the room.
pub fn identity_in_use() -> Error {
    let detail = "A participant with this identity is already in the room.";
    Error::new(Code::IdentityInUse, detail)
}
