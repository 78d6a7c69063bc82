//! Encryption of secrets with XChaCha20-Poly1305 and a ring of keys: the first key encrypts ("seals"), and
//! every key can decrypt ("open"). Tenant and name are authenticated as associated data, so that a sealed
//! value cannot be moved to another name or tenant.

use std::str::FromStr;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use patchbay_domain::TenantId;
use rand::TryRngCore as _;

const NONCE_BYTES: usize = 24;

#[derive(Clone)]
struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// A ring of keys; the first one seals.
#[derive(Clone, Default)]
pub struct KeyRing(Vec<Key>);

/// A sealed value.
pub struct Sealed {
    /// Id of the key that sealed it.
    pub key: String,
    /// Random nonce of 24 bytes.
    pub nonce: Vec<u8>,
    /// Ciphertext, followed by the authentication tag.
    pub sealed: Vec<u8>,
}

/// Why a value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The ring is empty.
    #[error("PATCHBAY_SECRET_KEYS is not set")]
    Empty,
    /// The key that sealed the value is not in the ring.
    #[error("PATCHBAY_SECRET_KEYS has no key `{0}`")]
    UnknownKey(String),
    /// Authentication failed: the value was altered, or the key is not the one that sealed it.
    #[error("a sealed value cannot be decrypted")]
    Altered,
    /// The operating system's random number generator failed.
    #[error("the random number generator failed: {0}")]
    Random(String),
}

/// Parses comma-separated `id:64 hexadecimal digits`. Error messages never contain key material.
impl FromStr for KeyRing {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let keys: Vec<_> = parts.map(parse_key).collect::<Result<_, _>>()?;
        let is_duplicate = |key: &Key| keys.iter().filter(|other| other.id == key.id).count() > 1;
        match keys.iter().find(|key| is_duplicate(key)) {
            Some(key) => Err(format!("the key id `{}` occurs more than once", key.id)),
            None => Ok(Self(keys)),
        }
    }
}

fn parse_key(part: &str) -> Result<Key, String> {
    let format = "expected `id:64 hexadecimal digits`, comma-separated, the sealing key first";
    let (id, digits) = part.trim().split_once(':').ok_or(format)?;
    let is_valid_id = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !(1..=32).contains(&id.len()) || !is_valid_id || digits.len() != 64 || !digits.is_ascii() {
        return Err(format.to_owned());
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    let bytes: Result<Vec<u8>, _> = (0..64).step_by(2).map(byte).collect();
    let bytes = bytes.map_err(|_| format)?;
    Ok(Key {
        id: id.to_owned(),
        cipher: XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| format)?,
    })
}

impl KeyRing {
    /// Returns the id of the key that seals.
    pub fn sealing_key(&self) -> Result<&str, KeyRingError> {
        Ok(&self.0.first().ok_or(KeyRingError::Empty)?.id)
    }

    /// Seals a value for this tenant and name.
    pub fn seal(&self, tenant: TenantId, name: &str, value: &str) -> Result<Sealed, KeyRingError> {
        let key = self.0.first().ok_or(KeyRingError::Empty)?;
        let mut nonce = [0; NONCE_BYTES];
        rand::rngs::OsRng
            .try_fill_bytes(&mut nonce)
            .map_err(|error| KeyRingError::Random(error.to_string()))?;
        let aad = associated_data(tenant, name);
        let payload = Payload {
            msg: value.as_bytes(),
            aad: &aad,
        };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload);
        Ok(Sealed {
            key: key.id.clone(),
            nonce: nonce.to_vec(),
            sealed: sealed.map_err(|_| KeyRingError::Altered)?,
        })
    }

    /// Opens a value that was sealed for this tenant and name.
    pub fn open(
        &self,
        tenant: TenantId,
        name: &str,
        sealed: &Sealed,
    ) -> Result<String, KeyRingError> {
        let unknown = || KeyRingError::UnknownKey(sealed.key.clone());
        let key = self.0.iter().find(|key| key.id == sealed.key);
        let key = key.ok_or_else(unknown)?;
        let nonce: [u8; NONCE_BYTES] = (&*sealed.nonce)
            .try_into()
            .map_err(|_| KeyRingError::Altered)?;
        let aad = associated_data(tenant, name);
        let payload = Payload {
            msg: &sealed.sealed,
            aad: &aad,
        };
        let opened = key.cipher.decrypt(&XNonce::from(nonce), payload);
        let opened = opened.map_err(|_| KeyRingError::Altered)?;
        String::from_utf8(opened).map_err(|_| KeyRingError::Altered)
    }
}

fn associated_data(tenant: TenantId, name: &str) -> Vec<u8> {
    format!("{tenant} {name}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(text: &str) -> KeyRing {
        text.parse().unwrap()
    }

    #[test]
    fn a_sealed_value_opens_only_for_its_tenant_and_name() {
        let (old, new) = (
            format!("old:{}", "1".repeat(64)),
            format!("new:{}", "2".repeat(64)),
        );
        let (tenant, other) = (
            TenantId::new(uuid::Uuid::from_u128(1)),
            TenantId::new(uuid::Uuid::from_u128(2)),
        );
        let mut sealed = ring(&old).seal(tenant, "crm", "s3cret").unwrap();
        assert!(!sealed.sealed.windows(6).any(|part| part == b"s3cret"));
        // After a new first key is added, the ring still opens values that the old key sealed.
        let both = ring(&format!("{new},{old}"));
        assert_eq!(both.open(tenant, "crm", &sealed).unwrap(), "s3cret");
        assert_eq!(both.sealing_key().unwrap(), "new");
        for (tenant, name) in [(other, "crm"), (tenant, "crm2")] {
            assert!(both.open(tenant, name, &sealed).is_err());
        }
        assert!(matches!(
            ring(&new).open(tenant, "crm", &sealed),
            Err(KeyRingError::UnknownKey(_))
        ));
        sealed.sealed[0] ^= 1;
        assert!(matches!(
            both.open(tenant, "crm", &sealed),
            Err(KeyRingError::Altered)
        ));
        assert!(KeyRing::default().seal(tenant, "crm", "x").is_err());
    }

    #[test]
    fn an_invalid_ring_is_rejected_without_quoting_it() {
        for invalid in [
            "abc",
            "a:12",
            &format!("a:{}", "g".repeat(64)),
            &format!("a b:{}", "1".repeat(64)),
        ] {
            let error = invalid.parse::<KeyRing>().err().unwrap();
            assert!(!error.contains("111") && !error.contains("ggg"), "{error}");
        }
        let duplicate = format!("a:{0},a:{0}", "1".repeat(64));
        assert!(duplicate.parse::<KeyRing>().is_err());
    }
}
