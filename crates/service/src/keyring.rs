//! Sealing of secrets: XChaCha20-Poly1305 under a ring of keys, of which the first seals and all
//! open. Tenant and name are authenticated with the value, so that a sealed value means nothing
//! under another name or in another tenant.

use std::str::FromStr;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use patchbay_domain::TenantId;
use rand::TryRngCore as _;

const NONCE: usize = 24;

#[derive(Clone)]
struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The keys, the sealing one first.
#[derive(Clone, Default)]
pub struct KeyRing(Vec<Key>);

/// A sealed value.
pub struct Sealed {
    /// Which key sealed it.
    pub key: String,
    /// Random, 24 bytes.
    pub nonce: Vec<u8>,
    /// Ciphertext and tag.
    pub sealed: Vec<u8>,
}

/// Why a value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The ring is empty.
    #[error("PATCHBAY_SECRET_KEYS is not set")]
    Empty,
    /// The key that sealed it is not in the ring.
    #[error("PATCHBAY_SECRET_KEYS has no key `{0}`")]
    UnknownKey(String),
    /// It was altered, or the key is another.
    #[error("a sealed value does not open")]
    Altered,
    /// The operating system has no randomness.
    #[error("no randomness: {0}")]
    Random(String),
}

/// `id:64 hexadecimal digits`, comma-separated. Faults are told without the key in them.
impl FromStr for KeyRing {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let keys: Vec<_> = parts.map(parse).collect::<Result<_, _>>()?;
        let twice = |key: &Key| keys.iter().filter(|other| other.id == key.id).count() > 1;
        match keys.iter().find(|key| twice(key)) {
            Some(key) => Err(format!("the key `{}` is there twice", key.id)),
            None => Ok(Self(keys)),
        }
    }
}

fn parse(part: &str) -> Result<Key, String> {
    let form = "the form is `id:64 hexadecimal digits`, comma-separated, the sealing key first";
    let (id, digits) = part.trim().split_once(':').ok_or(form)?;
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !(1..=32).contains(&id.len()) || !plain || digits.len() != 64 || !digits.is_ascii() {
        return Err(form.to_owned());
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    let bytes: Result<Vec<u8>, _> = (0..64).step_by(2).map(byte).collect();
    let bytes = bytes.map_err(|_| form)?;
    Ok(Key {
        id: id.to_owned(),
        cipher: XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| form)?,
    })
}

impl KeyRing {
    /// Id of the key that seals.
    pub fn sealing_key(&self) -> Result<&str, KeyRingError> {
        Ok(&self.0.first().ok_or(KeyRingError::Empty)?.id)
    }

    /// Seals a value.
    pub fn seal(&self, tenant: TenantId, name: &str, value: &str) -> Result<Sealed, KeyRingError> {
        let key = self.0.first().ok_or(KeyRingError::Empty)?;
        let mut nonce = [0; NONCE];
        rand::rngs::OsRng
            .try_fill_bytes(&mut nonce)
            .map_err(|error| KeyRingError::Random(error.to_string()))?;
        let aad = associated(tenant, name);
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

    /// Opens a sealed value.
    pub fn open(
        &self,
        tenant: TenantId,
        name: &str,
        sealed: &Sealed,
    ) -> Result<String, KeyRingError> {
        let unknown = || KeyRingError::UnknownKey(sealed.key.clone());
        let key = self.0.iter().find(|key| key.id == sealed.key);
        let key = key.ok_or_else(unknown)?;
        let nonce: [u8; NONCE] = (&*sealed.nonce)
            .try_into()
            .map_err(|_| KeyRingError::Altered)?;
        let aad = associated(tenant, name);
        let payload = Payload {
            msg: &sealed.sealed,
            aad: &aad,
        };
        let opened = key.cipher.decrypt(&XNonce::from(nonce), payload);
        let opened = opened.map_err(|_| KeyRingError::Altered)?;
        String::from_utf8(opened).map_err(|_| KeyRingError::Altered)
    }
}

fn associated(tenant: TenantId, name: &str) -> Vec<u8> {
    format!("{tenant} {name}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(text: &str) -> KeyRing {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_tenant_and_name_alone() {
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
        // A ring that has got a new first key still opens what the old one sealed.
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
    fn a_wrong_ring_is_refused_without_showing_it() {
        for wrong in [
            "abc",
            "a:12",
            &format!("a:{}", "g".repeat(64)),
            &format!("a b:{}", "1".repeat(64)),
        ] {
            let fault = wrong.parse::<KeyRing>().err().unwrap();
            assert!(!fault.contains("111") && !fault.contains("ggg"), "{fault}");
        }
        let twice = format!("a:{0},a:{0}", "1".repeat(64));
        assert!(twice.parse::<KeyRing>().is_err());
    }
}
