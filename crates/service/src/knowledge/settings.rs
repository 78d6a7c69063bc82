//! What chunks are made by.

use patchbay_domain::{configuration::digest_of, knowledge::language};
use patchbay_persistence::{TenantTx, files::File, tenants};
use patchbay_vectors::Embedder;
use serde_json::{Value, json};

use crate::{Code, Error, Result, Service};

/// Counts changes of what comes out of the same bytes under the same settings.
const EDITION: u32 = 2;

/// The model, if there is one.
pub fn embedder(service: &Service) -> Result<&dyn Embedder> {
    service.embedder.as_deref().ok_or_else(|| {
        let detail =
            "The operator must set PATCHBAY_EMBEDDING_DIRECTORY or PATCHBAY_EMBEDDING_URL first.";
        Error::new(Code::EmbeddingsNotConfigured, detail)
    })
}

/// The language that a tenant's words are in.
pub async fn language_of(tx: &mut TenantTx) -> Result<&'static str> {
    let tenant = tenants::find(tx).await?;
    let tenant = tenant.ok_or_else(Error::not_found)?;
    Ok(language_in(&tenant.settings))
}

/// The language that a tenant's settings name.
pub fn language_in(settings: &Value) -> &'static str {
    language(settings).unwrap_or("english")
}

/// What chunks depend on besides the bytes.
pub struct IngestSettings {
    /// The embedding model.
    pub model: String,
    /// PostgreSQL's configuration for the words.
    pub language: &'static str,
    /// Digest of all of it: where it is equal, chunks of the same bytes are.
    pub digest: String,
}

impl IngestSettings {
    /// As it is now.
    pub async fn now(service: &Service, tx: &mut TenantTx, file: &File) -> Result<Self> {
        let model = embedder(service)?.model().name.clone();
        let language = language_of(tx).await?;
        let all = json!({
            "edition": EDITION, "model": model, "language": language, "media_type": file.media_type,
            "tokens": service.settings.knowledge.chunk_tokens, "overlap": service.settings.knowledge.chunk_overlap,
        });
        let digest = digest_of(&all)?;
        Ok(Self {
            model,
            language,
            digest,
        })
    }
}
