//! The format of API keys: `pb_<key id>_<secret><checksum>`.
//!
//! The id finds the row, the secret (256 bits) proves the holder, and the checksum lets a typo
//! or a secret scanner be answered without a database. Only the SHA-256 of the whole token is kept.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::id::ApiKeyId;

const PREFIX: &str = "pb_";
const SECRET_LENGTH: usize = 64;
const CHECKSUM_LENGTH: usize = 8;

/// The token for a key with these 32 random bytes.
pub fn format(id: ApiKeyId, secret: &[u8; 32]) -> String {
    let body = format!("{PREFIX}{}_{}", id.uuid().simple(), hex(secret));
    let checksum = checksum(&body);
    body + &checksum
}

/// The id in a token, if the token is well-formed.
pub fn parse(token: &str) -> Option<ApiKeyId> {
    let (id, rest) = token.strip_prefix(PREFIX)?.split_once('_')?;
    if rest.len() != SECRET_LENGTH + CHECKSUM_LENGTH || !token.is_ascii() {
        return None;
    }
    let (body, given) = token.split_at(token.len() - CHECKSUM_LENGTH);
    if checksum(body) != given || id.len() != 32 {
        return None;
    }
    Uuid::try_parse(id).ok().map(ApiKeyId::new)
}

/// What is stored of a token.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn checksum(body: &str) -> String {
    hex(&Sha256::digest(body.as_bytes())[..CHECKSUM_LENGTH / 2])
}

/// Bytes in lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_token_gives_its_id_back_and_a_typo_does_not() {
        let id = Clock::system().new_id();
        let token = format(id, &[7; 32]);
        assert_eq!(parse(&token), Some(id));
        for at in 0..token.len() {
            let mut wrong = token.clone().into_bytes();
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(parse(&String::from_utf8(wrong).unwrap()), None, "at {at}");
        }
        assert_eq!(parse(""), None);
        assert_eq!(parse("pb__"), None);
    }
}
