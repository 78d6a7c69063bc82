//! Requests to LiveKit's server API (Twirp: protobuf over POST).
//!
//! Replaces the SDK's client, which cannot put dispatches into `CreateRoom` and loses the status of a response
//! that it cannot decode.

use std::{collections::BTreeMap, time::Duration};

use livekit_api::access_token::{SIPGrants, VideoGrants};
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::{
    client::LiveKit,
    error::{Error, SipStatus},
    storable,
};

/// Grants of a request's token.
#[derive(Clone, Default)]
pub(crate) struct Grants {
    pub(crate) video: VideoGrants,
    pub(crate) sip: SIPGrants,
}

impl From<VideoGrants> for Grants {
    fn from(video: VideoGrants) -> Self {
        Self {
            video,
            sip: SIPGrants::default(),
        }
    }
}

#[derive(Default, Deserialize)]
struct TwirpError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    meta: BTreeMap<String, String>,
}

impl TwirpError {
    fn sip(&self) -> Option<SipStatus> {
        let code = self.meta.get("sip_status_code")?.parse().ok()?;
        let words = self.meta.get("sip_status").cloned().unwrap_or_default();
        let words = storable::text(words);
        Some(SipStatus { code, words })
    }
}

impl LiveKit {
    /// Calls `service/method` with a token that holds just these grants.
    pub(crate) async fn call<A: Message + Default>(
        &self,
        service: &str,
        method: &str,
        grants: impl Into<Grants>,
        request: &impl Message,
    ) -> Result<A, Error> {
        let limit = self.settings.timeout;
        self.call_within(limit, service, method, grants, request)
            .await
    }

    /// The same with another timeout.
    pub(crate) async fn call_within<A: Message + Default>(
        &self,
        limit: Duration,
        service: &str,
        method: &str,
        grants: impl Into<Grants>,
        request: &impl Message,
    ) -> Result<A, Error> {
        let grants = grants.into();
        let token = self
            .access_token()
            .with_grants(grants.video)
            .with_sip_grants(grants.sip)
            .with_ttl(Duration::from_secs(60))
            .to_jwt()
            .map_err(|error| Error::Token(error.to_string()))?;
        let response = self
            .http
            .post(format!("{}/twirp/livekit.{service}/{method}", self.base))
            .timeout(limit)
            .bearer_auth(token)
            .header(CONTENT_TYPE, "application/protobuf")
            .body(request.encode_to_vec())
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return A::decode(body).map_err(|error| Error::Garbled(error.to_string()));
        }
        let error: TwirpError = serde_json::from_slice(&body).unwrap_or_default();
        let sip = error.sip();
        let TwirpError { code, msg, .. } = error;
        Err(Error::Refused {
            status: status.as_u16(),
            code,
            message: storable::text(if msg.is_empty() {
                String::from_utf8_lossy(&body).chars().take(200).collect()
            } else {
                msg
            }),
            sip,
        })
    }
}

fn unreachable(error: reqwest::Error) -> Error {
    // The URL would only add noise; the cause is at the end of the chain.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::Unreachable(text)
}
