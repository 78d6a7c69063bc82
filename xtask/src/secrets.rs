//! Passwords and keys of a development stack.

use std::{fs, io::Read as _, path::Path};

use anyhow::Result;
use serde_json::{Value, json};

/// Passwords and keys of a folder's stack: created once, and stored with the data.
pub struct Secrets(Value);

impl Secrets {
    /// The secrets of the folder.
    pub fn of(folder: &Path) -> Result<Self> {
        let file = folder.join("secrets.json");
        let known = fs::read_to_string(&file).unwrap_or_default();
        let known: Value = serde_json::from_str(&known).unwrap_or_default();
        let mut secrets = json!({
            "postgres": random()?, "owner": random()?, "app": random()?,
            "livekit": random()?, "operator": random()?, "worker": random()?,
            "sealing": format!("{}{}", random()?, &random()?[..16]),
        });
        // Older data keep the secrets they have.
        for (name, value) in known.as_object().into_iter().flatten() {
            secrets[name] = value.clone();
        }
        fs::write(&file, secrets.to_string())?;
        restrict(&file)?;
        Ok(Self(secrets))
    }

    /// The key that encrypts tenants' secrets, in the format of the setting.
    pub fn sealing_key(&self) -> String {
        format!("dev:{}", self.get("sealing"))
    }

    /// A secret by name.
    pub fn get(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }
}

fn random() -> Result<String> {
    let mut bytes = [0; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a file readable only by its owner.
pub fn restrict(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(
        file,
        fs::Permissions::from_mode(0o600),
    )?)
}
