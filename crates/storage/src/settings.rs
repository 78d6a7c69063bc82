//! Where objects are.

use std::{path::PathBuf, time::Duration};

/// Where objects are.
#[derive(Clone)]
pub enum Settings {
    /// In a directory of this machine, which is made if it is missing.
    Directory(PathBuf),
    /// In a bucket.
    S3(Bucket),
}

/// A bucket of S3, or of what speaks it.
#[derive(Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// URL of the service; Amazon's own by default.
    pub endpoint: Option<String>,
    /// Access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Longest silence of the service.
    pub timeout: Duration,
}
