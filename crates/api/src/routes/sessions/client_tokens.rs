//! Client tokens, with which a web page reads one session.

use chrono::TimeDelta;
use patchbay_domain::{Invalid, Scope, SessionId, TenantId, text::OneLine};
use patchbay_persistence::sessions;
use patchbay_service::{
    Actor, Code, Error, Result,
    audit::{Change, Event},
    client_tokens::ClientToken as Claims,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    cors,
    extract::{Caller, Json, Path, scopes::TokensWrite},
    response::{Created, Resource},
    timestamp::Timestamp,
};

/// Longest lifetime of a client token in seconds, and the default.
const MAX_TTL: u32 = 3600;

/// A client token to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"origin": "https://app.example.org", "ttl_seconds": 900}))]
pub struct CreateClientToken {
    /// Origin of the pages that may use the token: scheme, host and port, if it is not the default one.
    origin: OneLine<1, 300>,
    /// Lifetime of the token in seconds; 3600 by default.
    #[schema(minimum = 60, maximum = 3600)]
    ttl_seconds: Option<u32>,
}

/// A client token.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "session_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f60", "origin": "https://app.example.org",
    "token": "pbc_eyJ0ZW5hbnRfaWQi….k3Vw…", "expires_at": "2026-11-23T20:15:00Z"
}))]
pub struct ClientToken {
    /// Id of the session that it reads.
    session_id: SessionId,
    /// Origin of the pages that may use it.
    #[schema(max_length = 300)]
    origin: String,
    /// The token, to be sent as `Authorization: Bearer <token>`.
    #[schema(max_length = 2000)]
    token: String,
    /// Time at which it expires, if the session does not end before.
    expires_at: Timestamp,
}

impl Resource for ClientToken {}

impl CreateClientToken {
    /// What the token says; fails if the origin is none.
    fn claims(self, caller: &Caller<TokensWrite>, session_id: SessionId) -> Result<Claims> {
        if !cors::is_origin(&self.origin) {
            let message =
                "must be an origin, such as `https://app.example.org` or `http://localhost:5173`";
            let invalid = Invalid::new("invalid_url", message);
            return Err(Error::invalid_at("/origin", invalid));
        }
        let Actor::Key(key_id) = caller.origin.actor else {
            return Err(Error::internal("tokens are created by tenants' keys"));
        };
        let ttl = TimeDelta::seconds(self.ttl_seconds.unwrap_or(MAX_TTL).into());
        Ok(Claims {
            tenant_id: caller.tenant()?,
            session_id,
            key_id,
            origin: self.origin.into_inner(),
            expires_at: caller.service.clock.now() + ttl,
        })
    }
}

impl ClientToken {
    fn new(claims: Claims, token: String) -> Self {
        let Claims {
            tenant_id: _,
            session_id,
            key_id: _,
            origin,
            expires_at,
        } = claims;
        Self {
            session_id,
            origin,
            token,
            expires_at: expires_at.into(),
        }
    }
}

pub(super) async fn create(
    caller: Caller<TokensWrite>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    Json(body): Json<CreateClientToken>,
) -> Result<Created<ClientToken>> {
    caller.require_scope(Scope::SessionsRead)?;
    let claims = body.claims(&caller, id)?;
    let token = claims.sign(&caller.service.settings.livekit.api_secret)?;
    caller
        .change(async |tx| {
            let session = sessions::find(tx, id).await?;
            require_unfinished(&session.ok_or_else(Error::not_found)?)?;
            Ok(Change::one((), minted(&claims)))
        })
        .await?;
    let location = format!("/api/tenants/{tenant}/sessions/{id}");
    let value = ClientToken::new(claims, token);
    Ok(Created { location, value })
}

fn require_unfinished(session: &sessions::Session) -> Result<()> {
    if !session.state.is_terminal() {
        return Ok(());
    }
    let detail = format!("The session is `{}`.", session.state);
    Err(Error::new(Code::SessionOver, detail))
}

fn minted(claims: &Claims) -> Event {
    let after = json!({ "origin": claims.origin, "expires_at": claims.expires_at });
    Event::new(
        "client_token_minted",
        "session",
        claims.session_id,
        None::<&()>,
        Some(&after),
    )
}
