//! The client of a LiveKit server.

use std::time::Duration;

use livekit_api::access_token::AccessToken;

use crate::error::Error;

/// Connection settings of a LiveKit server.
#[derive(Clone)]
pub struct Settings {
    /// Base URL of the server API; `ws(s)` is read as `http(s)`.
    pub url: String,
    /// API key.
    pub api_key: String,
    /// API secret; at least 32 characters.
    pub api_secret: String,
    /// Timeout of one request.
    pub timeout: Duration,
}

/// A LiveKit server. Cheap to clone.
#[derive(Clone)]
pub struct LiveKit {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) settings: Settings,
}

impl LiveKit {
    /// A client for the server; connects when first used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        let base = match settings.url.strip_prefix("ws") {
            Some(rest) => format!("http{rest}"),
            None => settings.url.clone(),
        };
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            settings,
        })
    }

    pub(crate) fn access_token(&self) -> AccessToken {
        let Settings {
            api_key,
            api_secret,
            ..
        } = &self.settings;
        AccessToken::with_api_key(api_key, api_secret)
    }
}
