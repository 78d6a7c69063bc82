//! Join tokens: what people join a session with.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{Invalid, SessionId, UserId, states::TokenRole, text::OneLine};
use patchbay_livekit::JoinToken;
use patchbay_persistence::{TenantTx, sessions, users};
use serde_json::json;

use crate::{Code, Error, Result, Service, audit::Event};

/// Beginnings of identities that nobody may choose.
const RESERVED: [&str; 3] = ["agent-", "sip_", UserId::IDENTITY];
/// Seconds within which one may join, by default.
const USUAL_TTL: u32 = 600;

/// Who is to join, as a request has it.
pub struct TokenRequest {
    /// What they may do.
    pub role: TokenRole,
    /// A user of the tenant.
    pub user_id: Option<UserId>,
    /// Identity in the room, of somebody who is no user.
    pub identity: Option<OneLine<1, 128>>,
    /// Display name.
    pub name: Option<OneLine<1, 200>>,
    /// Seconds within which they may join.
    pub ttl_seconds: Option<u32>,
}

/// Who is to join.
pub struct Invitee {
    /// Identity in the room.
    pub identity: String,
    /// Display name.
    pub name: String,
    /// Whether somebody else may have the identity already.
    pub is_chosen: bool,
    role: TokenRole,
    ttl: u32,
}

/// A token that was made.
pub struct MintedToken {
    /// Where to connect to.
    pub server_url: String,
    /// What to connect with.
    pub participant_token: String,
    /// The room it is good for.
    pub room_name: String,
    /// The identity it gives.
    pub participant_identity: String,
    /// Until when one may join with it.
    pub expires_at: DateTime<Utc>,
}

impl TokenRequest {
    /// Checks what can be checked without looking anything up.
    pub fn check(self) -> Result<Self> {
        let wrong =
            |pointer, code, message| Err(Error::invalid_at(pointer, Invalid::new(code, message)));
        if self.user_id.is_some() && self.identity.is_some() {
            return wrong(
                "/identity",
                "conflict",
                "a user has an identity of their own",
            );
        }
        let is_possible = |ttl: u32| (10..=3600).contains(&ttl);
        if !self.ttl_seconds.is_none_or(is_possible) {
            return wrong("/ttl_seconds", "out_of_range", "10 to 3600 is allowed");
        }
        let is_reserved =
            |id: &OneLine<1, 128>| RESERVED.iter().any(|prefix| id.starts_with(prefix));
        if self.identity.as_ref().is_some_and(is_reserved) {
            return wrong(
                "/identity",
                "reserved",
                "agent-, sip_ and usr_ are reserved",
            );
        }
        Ok(self)
    }

    /// Finds the user, or makes up an identity where none is given.
    pub async fn resolve(self, service: &Service, tx: &mut TenantTx) -> Result<Invitee> {
        let user = match self.user_id {
            Some(id) => Some(users::hold(tx, id).await?.ok_or_else(Error::not_found)?),
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
            ttl: self.ttl_seconds.unwrap_or(USUAL_TTL),
        })
    }
}

impl Invitee {
    /// The token to join the session with.
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

    /// The audit event of a token that was minted.
    pub fn event(&self, verb: &str, token: &MintedToken, session: SessionId) -> Event {
        // The identity of a user or of somebody unnamed is an id; a chosen one may be anything, and the
        // trail does not keep it.
        let is_id = self.identity.starts_with(UserId::IDENTITY);
        let after = json!({
            "role": self.role,
            "identity": self.identity,
            "participant": is_id.then_some(&self.identity),
            "expires_at": token.expires_at,
        });
        Event::of(verb, "session", session, None::<&()>, Some(&after))
    }
}

/// Refuses an identity that is in the room: LiveKit would throw the one out who is there.
pub async fn refuse_if_present(service: &Service, room: &str, identity: &str) -> Result<()> {
    let present = service.livekit.list_participants(room).await?;
    let is_present = present
        .iter()
        .any(|participant| participant.identity == identity);
    match is_present {
        true => Err(identity_in_use()),
        false => Ok(()),
    }
}

/// Somebody with the identity is in the room.
pub fn identity_in_use() -> Error {
    let detail = "Somebody with this identity is in the room.";
    Error::new(Code::IdentityInUse, detail)
}
