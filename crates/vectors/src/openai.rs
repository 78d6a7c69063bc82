//! A client of OpenAI-compatible `/embeddings` endpoints.

use std::time::Duration;

use futures_util::future::BoxFuture;
use patchbay_domain::{knowledge::Embedding, text::without_quotes};
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Embedder, Error, Model, Purpose, Result, unit};

/// Texts of one request.
const BATCH: usize = 64;
/// Maximum attempts of a request.
const TRIES: u32 = 4;
/// Maximum pause between two attempts, even if the provider asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The provider.
pub struct OpenAi {
    model: Model,
    name: String,
    url: String,
    key: Option<String>,
    client: reqwest::Client,
}

#[derive(Deserialize)]
struct EmbeddingsResponse {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl OpenAi {
    /// The model with this name at `base_url`, such as `https://api.openai.com/v1`. `timeout` is that of one
    /// request.
    pub fn new(base_url: &str, name: &str, key: Option<String>, timeout: Duration) -> Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(timeout)
            .build()
            .map_err(|error| Error::Refused(error.to_string()))?;
        Ok(Self {
            model: Model {
                name: format!("openai/{name}"),
                batch: BATCH,
            },
            name: name.to_owned(),
            url: format!("{}/embeddings", base_url.trim_end_matches('/')),
            key,
            client,
        })
    }

    async fn request_embeddings(
        &self,
        texts: &[String],
    ) -> std::result::Result<Vec<Embedding>, Failure> {
        let body = json!({ "model": self.name, "input": texts, "encoding_format": "float" });
        let mut request = self.client.post(&self.url).json(&body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|error| {
            let why = error.without_url().to_string();
            Failure::retry(Error::Unavailable(why))
        })?;
        let status = response.status();
        let pause = response.headers().get(RETRY_AFTER);
        let pause = pause.and_then(|value| value.to_str().ok()?.parse().ok());
        if !status.is_success() {
            let words = response.text().await.unwrap_or_default();
            let why = format!("{status}{}", code_of(&words));
            return Err(match status {
                StatusCode::TOO_MANY_REQUESTS => Failure {
                    error: Error::Unavailable(why),
                    pause: Some(Duration::from_secs(pause.unwrap_or(1))),
                },
                status if status.is_server_error() => Failure::retry(Error::Unavailable(why)),
                _ => Failure::permanent(Error::Refused(why)),
            });
        }
        let body: EmbeddingsResponse = response.json().await.map_err(|error| {
            Failure::retry(Error::Unavailable(without_quotes(&error.to_string())))
        })?;
        in_order(body.data, texts.len()).map_err(Failure::permanent)
    }
}

/// The provider's error codes. Its message is not used: it may repeat the text or the key.
fn code_of(words: &str) -> String {
    let answer: Value = serde_json::from_str(words).unwrap_or_default();
    let fields = ["type", "code"].map(|name| answer["error"][name].as_str().unwrap_or_default());
    let is_code = |text: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        (1..=64).contains(&text.len()) && text.chars().all(plain)
    };
    let codes: Vec<_> = fields.into_iter().filter(is_code).collect();
    match codes.is_empty() {
        true => String::new(),
        false => format!(": {}", codes.join(", ")),
    }
}

/// The embeddings in the order of their texts.
fn in_order(mut items: Vec<Item>, count: usize) -> Result<Vec<Embedding>> {
    items.sort_by_key(|item| item.index);
    let dimensions = items.first().map_or(0, |item| item.embedding.len());
    let whole = items.len() == count
        && dimensions > 0
        && items
            .iter()
            .enumerate()
            .all(|(index, item)| item.index == index && item.embedding.len() == dimensions);
    if !whole {
        return Err(Error::Refused("not one embedding for each text".to_owned()));
    }
    Ok(items.into_iter().map(|item| unit(item.embedding)).collect())
}

/// Why an attempt failed, and after which pause to retry.
struct Failure {
    error: Error,
    pause: Option<Duration>,
}

impl Failure {
    fn retry(error: Error) -> Self {
        Self {
            error,
            pause: Some(Duration::ZERO),
        }
    }

    fn permanent(error: Error) -> Self {
        Self { error, pause: None }
    }
}

impl Embedder for OpenAi {
    fn model(&self) -> &Model {
        &self.model
    }

    fn embed(&self, texts: Vec<String>, purpose: Purpose) -> BoxFuture<'_, Result<Vec<Embedding>>> {
        // A search does not wait for retries.
        let tries = if purpose == Purpose::Query { 1 } else { TRIES };
        Box::pin(async move {
            let mut all = Vec::with_capacity(texts.len());
            for batch in texts.chunks(BATCH) {
                let mut attempt = 1;
                all.extend(loop {
                    match self.request_embeddings(batch).await {
                        Ok(embeddings) => break embeddings,
                        Err(Failure { error, pause }) => {
                            let Some(pause) = pause.filter(|_| attempt < tries) else {
                                return Err(error);
                            };
                            tracing::warn!(%error, attempt, "retrying an embedding request");
                            let usual = Duration::from_millis(250) * 2_u32.pow(attempt);
                            tokio::time::sleep(pause.max(usual).min(LONGEST_PAUSE)).await;
                            attempt += 1;
                        }
                    }
                });
            }
            Ok(all)
        })
    }
}
