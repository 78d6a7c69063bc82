//! The store: a local directory, or S3 and compatible services.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    local::LocalFileSystem,
    multipart::MultipartStore as _,
    path::Path,
};

use crate::{
    error::{Error, Result},
    settings::{Bucket, Settings},
};

/// Kind of the store.
#[derive(Clone)]
pub(crate) enum Kind {
    Directory(PathBuf),
    S3(Arc<AmazonS3>),
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) kind: Kind,
}

/// A stored object.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Time since it was written.
    pub age: Duration,
}

impl Store {
    /// A store, without any request yet; rustls must have its crypto provider installed.
    pub fn new(settings: &Settings) -> Result<Self> {
        match settings {
            Settings::Directory(folder) => {
                let made = std::fs::create_dir_all(folder);
                made.map_err(|error| Error::Unavailable(format!("{}: {error}", folder.display())))?;
                let folder = folder.canonicalize();
                let folder = folder.map_err(|error| Error::Unavailable(error.to_string()))?;
                let files = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
                Ok(Self {
                    objects: Arc::new(files.with_automatic_cleanup(true)),
                    kind: Kind::Directory(folder),
                })
            }
            Settings::S3(bucket) => {
                let s3 = Arc::new(s3(bucket)?);
                Ok(Self {
                    objects: Arc::<AmazonS3>::clone(&s3),
                    kind: Kind::S3(s3),
                })
            }
        }
    }

    /// Deletes an object; a missing one is no error.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self
            .objects
            .delete(&Path::from(key))
            .await
            .map_err(Error::from)
        {
            Err(Error::NotFound) => Ok(()),
            done => done,
        }
    }

    /// Cleans up after an upload that will not be finished.
    pub async fn abandon(&self, key: &str, upload_id: Option<&str>) -> Result<()> {
        match (&self.kind, upload_id) {
            (Kind::S3(s3), Some(id)) => {
                let (path, id) = (Path::from(key), id.to_owned());
                match s3.abort_multipart(&path, &id).await.map_err(Error::from) {
                    Err(Error::NotFound) => Ok(()),
                    done => done,
                }
            }
            (Kind::S3(_), None) => Ok(()),
            (Kind::Directory(folder), _) => {
                let file = folder.join(key);
                let removed = tokio::task::spawn_blocking(move || remove_staged(&file)).await;
                let removed = removed.map_err(|error| Error::Unavailable(error.to_string()))?;
                removed.map_err(|error| Error::Unavailable(error.to_string()))
            }
        }
    }

    /// The objects whose keys begin with these segments.
    pub fn list(&self, prefix: &str) -> BoxStream<'static, Result<Found>> {
        let now = std::time::SystemTime::now();
        let found = self.objects.list(Some(&Path::from(prefix)));
        let found = found.map_ok(move |object| Found {
            key: object.location.to_string(),
            size: object.size,
            age: now
                .duration_since(object.last_modified.into())
                .unwrap_or_default(),
        });
        found.map_err(Error::from).boxed()
    }

    /// Whether there is an object with this key.
    pub async fn exists(&self, key: &str) -> Result<bool> {
        let found = self.objects.head(&Path::from(key)).await;
        match found.map_err(Error::from) {
            Err(Error::NotFound) => Ok(false),
            found => found.map(|_| true),
        }
    }

    /// Copies an object, over the one that has the other key.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (Path::from(from), Path::from(to));
        Ok(self.objects.copy(&from, &to).await?)
    }

    /// Checks that the store can be reached.
    pub async fn ping(&self) -> Result<()> {
        self.exists("readiness-probe").await.map(drop)
    }
}

fn s3(bucket: &Bucket) -> Result<AmazonS3> {
    let client = ClientOptions::new()
        .with_allow_http(true)
        .with_connect_timeout(Duration::from_secs(5))
        // The default timeout covers the body too, and would abort large objects.
        .with_timeout_disabled()
        .with_read_timeout(bucket.timeout);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: bucket.timeout,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_region(&bucket.region)
        .with_access_key_id(&bucket.access_key_id)
        .with_secret_access_key(&bucket.secret_access_key)
        .with_retry(retry)
        .with_client_options(client);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(builder.build()?)
}

/// An unfinished upload is beside its target in the directory, as `<name>#<number>`; a killed process leaves it
/// there.
fn remove_staged(file: &std::path::Path) -> std::io::Result<()> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(());
    };
    let prefix = format!("{}#", name.to_string_lossy());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
