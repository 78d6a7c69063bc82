//! Settings of files, ingests and search.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use patchbay_storage::{Bucket, Store};
#[cfg(feature = "local-embeddings")]
use patchbay_vectors::Local;
use patchbay_vectors::{Background, Embedder, OpenAi};

use super::values::{Secret, duration};

/// Settings of the vector index.
#[derive(Args, Clone)]
#[group(skip)]
pub struct IndexSettings {
    /// Maximum number of chunks of a tenant that a semantic search compares exactly; a tenant with more needs an
    /// index, which `patchbay-api index` creates.
    #[arg(long, env = "PATCHBAY_SEARCH_EXACT_CHUNKS", default_value = "50000", value_parser = clap::value_parser!(i64).range(1..))]
    pub search_exact_chunks: i64,
    /// Maximum number of index entries that a search visits before it compares all candidates instead.
    #[arg(long, env = "PATCHBAY_SEARCH_MAX_SCAN", default_value = "200000", value_parser = clap::value_parser!(i64).range(1..=2_000_000_000))]
    pub search_max_scan: i64,
}

/// Settings of storage, embeddings and ingests.
#[derive(Args, Clone)]
#[group(skip)]
pub struct KnowledgeSettings {
    /// Directory in which files are stored; without it and without a bucket, files cannot be uploaded.
    #[arg(long, env = "PATCHBAY_STORAGE_DIRECTORY")]
    pub storage_directory: Option<PathBuf>,
    /// S3-compatible bucket in which files are stored.
    #[arg(long, env = "PATCHBAY_S3_BUCKET")]
    pub s3_bucket: Option<String>,
    /// Region of the S3 bucket.
    #[arg(long, env = "PATCHBAY_S3_REGION", default_value = "us-east-1")]
    pub s3_region: String,
    /// URL of the S3-compatible service; Amazon S3 by default.
    #[arg(long, env = "PATCHBAY_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Access key id for the S3 bucket.
    #[arg(long, env = "PATCHBAY_S3_ACCESS_KEY_ID", default_value = "")]
    pub s3_access_key_id: String,
    /// Secret access key for the S3 bucket.
    #[arg(long, env = "PATCHBAY_S3_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub s3_secret_access_key: Option<Secret>,
    /// How long a request to the object store waits for data, and how long a failed one is retried.
    #[arg(long, env = "PATCHBAY_STORAGE_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub storage_timeout: Duration,
    /// Maximum size of a file in bytes.
    #[arg(long, env = "PATCHBAY_UPLOAD_LIMIT", default_value = "104857600")]
    pub upload_limit: u64,
    /// Maximum duration of an upload.
    #[arg(long, env = "PATCHBAY_UPLOAD_TIMEOUT", default_value = "10m", value_parser = duration)]
    pub upload_timeout: Duration,

    /// Directory of a local embedding model with model.safetensors, tokenizer.json and config.json.
    #[arg(long, env = "PATCHBAY_EMBEDDING_DIRECTORY")]
    pub embedding_directory: Option<PathBuf>,
    /// Base URL of an OpenAI-compatible embedding provider, such as `https://api.openai.com/v1`.
    #[arg(long, env = "PATCHBAY_EMBEDDING_URL")]
    pub embedding_url: Option<String>,
    /// Name of the embedding provider's model.
    #[arg(
        long,
        env = "PATCHBAY_EMBEDDING_MODEL",
        default_value = "text-embedding-3-small"
    )]
    pub embedding_model: String,
    /// API key of the embedding provider.
    #[arg(long, env = "PATCHBAY_EMBEDDING_KEY", hide_env_values = true)]
    pub embedding_key: Option<Secret>,
    /// Timeout of a request to the embedding provider.
    #[arg(long, env = "PATCHBAY_EMBEDDING_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub embedding_timeout: Duration,
    /// Number of threads on which a local model embeds files.
    #[arg(long, env = "PATCHBAY_EMBEDDING_THREADS", default_value = "1")]
    pub embedding_threads: usize,
    /// Nice value of these threads, 0 to 19: how far they stand back when the processors are busy. With 5 they still get
    /// about a quarter of what other threads get, with 19 almost nothing.
    #[arg(long, env = "PATCHBAY_EMBEDDING_NICE", default_value = "5", value_parser = clap::value_parser!(i32).range(0..=19))]
    pub embedding_nice: i32,

    /// Maximum number of concurrent ingests of this process.
    #[arg(long, env = "PATCHBAY_INGEST_PARALLEL", default_value = "2")]
    pub ingest_parallel: usize,
    /// Maximum duration of the text extraction of a file.
    #[arg(long, env = "PATCHBAY_EXTRACT_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub extract_timeout: Duration,
    /// Maximum memory of the text extraction of a file, in bytes.
    #[arg(long, env = "PATCHBAY_EXTRACT_MEMORY", default_value = "1610612736")]
    pub extract_memory: u64,
    /// Maximum size of a chunk in tokens, at least 16, and at most 240 with a local model.
    #[arg(long, env = "PATCHBAY_CHUNK_TOKENS", default_value = "200")]
    pub chunk_tokens: usize,
    /// Approximate overlap of consecutive chunks in tokens, at most half of a chunk.
    #[arg(long, env = "PATCHBAY_CHUNK_OVERLAP", default_value = "30")]
    pub chunk_overlap: usize,
    /// Settings of the vector index.
    #[command(flatten)]
    pub index: IndexSettings,
    /// Program that extracts the text of files; this program by default.
    #[arg(long, env = "PATCHBAY_EXTRACTOR", hide = true)]
    pub extractor: Option<PathBuf>,
}

impl KnowledgeSettings {
    /// Checks the settings. The error is one line that names the setting.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.storage_directory.is_some() && self.s3_bucket.is_some() {
            return Err(
                "PATCHBAY_STORAGE_DIRECTORY and PATCHBAY_S3_BUCKET: only one of them may be set"
                    .to_owned(),
            );
        }
        if self.embedding_directory.is_some() && self.embedding_url.is_some() {
            return Err("PATCHBAY_EMBEDDING_DIRECTORY and PATCHBAY_EMBEDDING_URL: only one of them may be set".to_owned());
        }
        if self.embedding_directory.is_some() && self.chunk_tokens > 240 {
            return Err(
                "PATCHBAY_CHUNK_TOKENS: at most 240 are allowed with a local model".to_owned(),
            );
        }
        if self.chunk_tokens < 16 || self.chunk_overlap * 2 > self.chunk_tokens {
            return Err(
                "PATCHBAY_CHUNK_TOKENS: at least 16, and at least twice PATCHBAY_CHUNK_OVERLAP, are needed"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Program that extracts the text of files: by default this one, even if its file has been replaced since it was
    /// started.
    pub fn program(&self) -> PathBuf {
        let this = || PathBuf::from("/proc/self/exe");
        self.extractor.clone().unwrap_or_else(this)
    }

    /// Opens the object store, if one is set.
    pub fn store(&self) -> anyhow::Result<Option<Store>> {
        let settings = match (&self.storage_directory, &self.s3_bucket) {
            (Some(folder), _) => patchbay_storage::Settings::Directory(folder.clone()),
            (None, Some(bucket)) => patchbay_storage::Settings::S3(Bucket {
                name: bucket.clone(),
                region: self.s3_region.clone(),
                endpoint: self.s3_endpoint.clone(),
                access_key_id: self.s3_access_key_id.clone(),
                secret_access_key: self
                    .s3_secret_access_key
                    .as_ref()
                    .map_or_else(String::new, |secret| secret.reveal().to_owned()),
                timeout: self.storage_timeout,
            }),
            (None, None) => return Ok(None),
        };
        Ok(Some(Store::new(&settings)?))
    }

    const fn background(&self) -> Background {
        Background {
            threads: self.embedding_threads,
            nice: self.embedding_nice,
        }
    }

    /// Loads the embedding model, if one is set. With `panics`, for tests, a local model panics.
    pub fn embedder(&self, panics: bool) -> anyhow::Result<Option<Arc<dyn Embedder>>> {
        if let Some(url) = &self.embedding_url {
            let key = self
                .embedding_key
                .as_ref()
                .map(|key| key.reveal().to_owned());
            let timeout = self.embedding_timeout;
            let provider = OpenAi::new(url, &self.embedding_model, key, timeout)?;
            return Ok(Some(Arc::new(provider)));
        }
        match &self.embedding_directory {
            Some(folder) => load_local(folder, self.background(), panics).map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(feature = "local-embeddings")]
fn load_local(
    folder: &Path,
    background: Background,
    panics: bool,
) -> anyhow::Result<Arc<dyn Embedder>> {
    let model = match panics {
        true => Local::load_with_fault(folder, background),
        false => Local::load(folder, background),
    };
    Ok(Arc::new(model?))
}

#[cfg(not(feature = "local-embeddings"))]
fn load_local(_: &Path, _: Background, _: bool) -> anyhow::Result<Arc<dyn Embedder>> {
    anyhow::bail!("PATCHBAY_EMBEDDING_DIRECTORY: this binary was built without local models")
}
