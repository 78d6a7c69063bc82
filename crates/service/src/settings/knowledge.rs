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
use patchbay_vectors::{Embedder, OpenAi};

use super::values::{Secret, duration};

/// When searches by meaning use an index.
#[derive(Args, Clone)]
#[group(skip)]
pub struct IndexSettings {
    /// Chunks up to which a search by meaning compares them all, which finds everything. A tenant with more
    /// wants an index: `patchbay-api index`.
    #[arg(long, env = "PATCHBAY_SEARCH_EXACT_CHUNKS", default_value = "50000", value_parser = clap::value_parser!(i64).range(1..))]
    pub search_exact_chunks: i64,
}

/// Where files are kept, and how they become searchable.
#[derive(Args, Clone)]
#[group(skip)]
pub struct KnowledgeSettings {
    /// Directory that files are kept in. Without it, and without a bucket, no files are taken.
    #[arg(long, env = "PATCHBAY_STORAGE_DIRECTORY")]
    pub storage_directory: Option<PathBuf>,
    /// Bucket of S3, or of what speaks it, that files are kept in.
    #[arg(long, env = "PATCHBAY_S3_BUCKET")]
    pub s3_bucket: Option<String>,
    /// Region of the bucket.
    #[arg(long, env = "PATCHBAY_S3_REGION", default_value = "us-east-1")]
    pub s3_region: String,
    /// URL of the service, where it is not Amazon's.
    #[arg(long, env = "PATCHBAY_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Access key of the bucket.
    #[arg(long, env = "PATCHBAY_S3_ACCESS_KEY_ID", default_value = "")]
    pub s3_access_key_id: String,
    /// Its secret.
    #[arg(long, env = "PATCHBAY_S3_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub s3_secret_access_key: Option<Secret>,
    /// Longest silence of the object store.
    #[arg(long, env = "PATCHBAY_STORAGE_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub storage_timeout: Duration,
    /// Most bytes of a file.
    #[arg(long, env = "PATCHBAY_UPLOAD_LIMIT", default_value = "104857600")]
    pub upload_limit: u64,
    /// How long an upload may take.
    #[arg(long, env = "PATCHBAY_UPLOAD_TIMEOUT", default_value = "10m", value_parser = duration)]
    pub upload_timeout: Duration,

    /// Directory of a local embedding model: model.safetensors, tokenizer.json, config.json.
    #[arg(long, env = "PATCHBAY_EMBEDDING_DIRECTORY")]
    pub embedding_directory: Option<PathBuf>,
    /// Base URL of an OpenAI-compatible embedding provider, such as https://api.openai.com/v1.
    #[arg(long, env = "PATCHBAY_EMBEDDING_URL")]
    pub embedding_url: Option<String>,
    /// Name of the provider's model.
    #[arg(
        long,
        env = "PATCHBAY_EMBEDDING_MODEL",
        default_value = "text-embedding-3-small"
    )]
    pub embedding_model: String,
    /// Key of the provider.
    #[arg(long, env = "PATCHBAY_EMBEDDING_KEY", hide_env_values = true)]
    pub embedding_key: Option<Secret>,
    /// Most time for one request to the provider.
    #[arg(long, env = "PATCHBAY_EMBEDDING_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub embedding_timeout: Duration,
    /// Threads on which a local model reads files.
    #[arg(long, env = "PATCHBAY_EMBEDDING_THREADS", default_value = "1")]
    pub embedding_threads: usize,

    /// Ingests at a time.
    #[arg(long, env = "PATCHBAY_INGEST_PARALLEL", default_value = "2")]
    pub ingest_parallel: usize,
    /// Most time for getting the text out of a file.
    #[arg(long, env = "PATCHBAY_EXTRACT_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub extract_timeout: Duration,
    /// Most bytes of memory for it.
    #[arg(long, env = "PATCHBAY_EXTRACT_MEMORY", default_value = "1610612736")]
    pub extract_memory: u64,
    /// Most tokens of a chunk.
    #[arg(long, env = "PATCHBAY_CHUNK_TOKENS", default_value = "200")]
    pub chunk_tokens: usize,
    /// Tokens that a chunk shares with the one before it, about.
    #[arg(long, env = "PATCHBAY_CHUNK_OVERLAP", default_value = "30")]
    pub chunk_overlap: usize,
    /// When searches by meaning use an index.
    #[command(flatten)]
    pub index: IndexSettings,
    /// The program that gets the text out of files; this one by default.
    #[arg(long, env = "PATCHBAY_EXTRACTOR", hide = true)]
    pub extractor: Option<PathBuf>,
}

impl KnowledgeSettings {
    /// One line per fault, naming the setting.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.storage_directory.is_some() && self.s3_bucket.is_some() {
            return Err(
                "PATCHBAY_STORAGE_DIRECTORY and PATCHBAY_S3_BUCKET: only one of them is needed"
                    .to_owned(),
            );
        }
        if self.embedding_directory.is_some() && self.embedding_url.is_some() {
            return Err("PATCHBAY_EMBEDDING_DIRECTORY and PATCHBAY_EMBEDDING_URL: only one of them is needed".to_owned());
        }
        if self.embedding_directory.is_some() && self.chunk_tokens > 240 {
            return Err(
                "PATCHBAY_CHUNK_TOKENS: a local model reads 240 of them at most".to_owned(),
            );
        }
        if self.chunk_tokens < 16 || self.chunk_overlap * 2 > self.chunk_tokens {
            return Err(
                "PATCHBAY_CHUNK_TOKENS: at least 16, and twice PATCHBAY_CHUNK_OVERLAP, is needed"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The program that gets the text out of files: this one, also where its file was replaced since.
    pub fn program(&self) -> PathBuf {
        let this = || PathBuf::from("/proc/self/exe");
        self.extractor.clone().unwrap_or_else(this)
    }

    /// The store, if one is set.
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

    /// The embedding model, if one is set; for tests one that panics.
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
            Some(folder) => local(folder, self.embedding_threads, panics).map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(feature = "local-embeddings")]
fn local(folder: &Path, threads: usize, panics: bool) -> anyhow::Result<Arc<dyn Embedder>> {
    let model = match panics {
        true => Local::load_with_fault(folder, threads),
        false => Local::load(folder, threads),
    };
    Ok(Arc::new(model?))
}

#[cfg(not(feature = "local-embeddings"))]
fn local(_: &Path, _: usize, _: bool) -> anyhow::Result<Arc<dyn Embedder>> {
    anyhow::bail!("PATCHBAY_EMBEDDING_DIRECTORY: this binary was built without local models")
}
