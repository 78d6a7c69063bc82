//! Client tokens: a browser's short-lived credentials for reading one session. They are signed, not stored: a token ends
//! at its expiry, with its session, and with the API key that has created it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac as _};
use patchbay_domain::{ApiKeyId, SessionId, TenantId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Error, Result, settings::Secret};

/// Prefix of every client token.
const PREFIX: &str = "pbc_";

/// What a client token says: `pbc_<claims>.<HMAC-SHA256 of all before it>`, both in URL-safe Base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientToken {
    /// The session's tenant.
    pub tenant_id: TenantId,
    /// The only session that it reads.
    pub session_id: SessionId,
    /// The API key that has created it, without which it is void.
    pub key_id: ApiKeyId,
    /// The only origin whose pages may use it.
    pub origin: String,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// Whether a bearer token is a client token.
pub fn is_client_token(token: &str) -> bool {
    token.starts_with(PREFIX)
}

impl ClientToken {
    /// Signs the token.
    pub fn sign(&self, secret: &Secret) -> Result<String> {
        let claims = serde_json::to_vec(self).map_err(Error::internal)?;
        let signed = format!("{PREFIX}{}", BASE64.encode(claims));
        let signature = mac(secret, &signed).finalize().into_bytes();
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    /// Reads a token that was signed with this secret and has not expired.
    pub fn verify(token: &str, secret: &Secret, now: DateTime<Utc>) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = BASE64.decode(signature).ok()?;
        mac(secret, signed).verify_slice(&signature).ok()?;
        let claims = BASE64.decode(signed.strip_prefix(PREFIX)?).ok()?;
        let token: Self = serde_json::from_slice(&claims).ok()?;
        (token.expires_at > now).then_some(token)
    }
}

/// No token of LiveKit begins with the prefix, so that the secret can sign both.
fn mac(secret: &Secret, signed: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes());
    mac.expect("a key of any length").chain_update(signed)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use patchbay_domain::Clock;

    use super::*;

    #[test]
    fn only_what_was_signed_is_read_and_only_until_it_expires() {
        let secret = |text: &str| text.parse::<Secret>().unwrap();
        let (clock, ours) = (Clock::system(), secret("ours"));
        let token = ClientToken {
            tenant_id: clock.new_id(),
            session_id: clock.new_id(),
            key_id: clock.new_id(),
            origin: "https://app.example".to_owned(),
            expires_at: clock.now() + TimeDelta::seconds(60),
        };
        let text = token.sign(&ours).unwrap();
        let read = |text: &str| ClientToken::verify(text, &ours, clock.now());
        assert_eq!(read(&text), Some(token.clone()));
        assert_eq!(ClientToken::verify(&text, &ours, token.expires_at), None);
        assert_eq!(
            ClientToken::verify(&text, &secret("theirs"), clock.now()),
            None
        );
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(&String::from_utf8(wrong).unwrap()), None, "at {at}");
        }
        for wrong in ["", ".", "pbc_", "pbc_.", &text[..text.len() - 1]] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
