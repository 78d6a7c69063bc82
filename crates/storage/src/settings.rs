//! Settings of the store.

use std::{path::PathBuf, time::Duration};

/// Where objects are stored.
#[derive(Clone)]
pub enum Settings {
    /// In a local directory, which is created if it is missing.
    Directory(PathBuf),
    /// In a bucket.
    S3(Bucket),
}

/// A bucket of S3 or of a compatible service.
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
    /// Secret access key.
    pub secret_access_key: String,
    /// Timeout without any data from the service.
    pub timeout: Duration,
}
