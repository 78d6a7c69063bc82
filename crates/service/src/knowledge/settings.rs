//! Settings that determine the chunks of a file.

use patchbay_domain::{configuration::digest_of, knowledge::language};
use patchbay_persistence::{TenantTx, files::File, tenants};
use patchbay_vectors::Embedder;
use serde_json::{Value, json};

use crate::{Code, Error, Result, Service};

/// Version of the extraction and chunking. It is incremented when they produce different chunks from the same
/// content and settings.
const PIPELINE_VERSION: u32 = 2;

/// Returns the embedding model, or an error if none is configured.
pub fn embedder(service: &Service) -> Result<&dyn Embedder> {
    service.embedder.as_deref().ok_or_else(|| {
        let detail =
            "The operator must set PATCHBAY_EMBEDDING_DIRECTORY or PATCHBAY_EMBEDDING_URL first.";
        Error::new(Code::EmbeddingsNotConfigured, detail)
    })
}

/// Returns the search language of a tenant.
pub async fn language_of(tx: &mut TenantTx) -> Result<&'static str> {
    let tenant = tenants::find(tx).await?;
    let tenant = tenant.ok_or_else(Error::not_found)?;
    Ok(language_in(&tenant.settings))
}

/// Returns the search language of a tenant's settings; English by default.
pub fn language_in(settings: &Value) -> &'static str {
    language(settings).unwrap_or("english")
}

/// What the chunks of a file depend on besides its content.
pub struct IngestSettings {
    /// Name of the embedding model.
    pub model: String,
    /// Text search configuration in PostgreSQL.
    pub language: &'static str,
    /// Digest of all settings. With equal digests, equal content has equal chunks.
    pub digest: String,
}

impl IngestSettings {
    /// The current settings for a file.
    pub async fn current(service: &Service, tx: &mut TenantTx, file: &File) -> Result<Self> {
        let model = embedder(service)?.model().name.clone();
        let language = language_of(tx).await?;
        let settings = json!({
            "edition": PIPELINE_VERSION, "model": model, "language": language, "media_type": file.media_type,
            "tokens": service.settings.knowledge.chunk_tokens, "overlap": service.settings.knowledge.chunk_overlap,
        });
        let digest = digest_of(&settings)?;
        Ok(Self {
            model,
            language,
            digest,
        })
    }
}
