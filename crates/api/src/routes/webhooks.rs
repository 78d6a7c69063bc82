//! LiveKit's webhooks: verified, stored, answered. What they mean is worked out afterwards.

use std::sync::Arc;

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header::AUTHORIZATION,
};
use futures_util::future::LocalBoxFuture;
use patchbay_livekit::Rejected;
use patchbay_persistence::webhook_events;
use patchbay_service::{Code, Error, Service, compute::SMALL};
use serde_json::json;

use super::health::State;
use crate::{
    answer::Respond,
    code::HttpCode,
    error::ApiError,
    extract,
    openapi::{Describe, Doc, Operation, Tag},
    router::Api,
};

/// The body to the byte, with LiveKit's signature.
struct Signed {
    authorization: String,
    body: actix_web::web::BytesMut,
}

impl FromRequest for Signed {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let authorization = request
                .headers()
                .get(AUTHORIZATION)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned();
            let body = extract::read_body(&request, payload).await?;
            Ok(Self {
                authorization,
                body,
            })
        })
    }
}

impl Describe for Signed {
    fn describe(operation: &mut Operation) {
        operation.set("security", json!([{ "livekit": [] }]));
        operation.set(
            "requestBody",
            json!({
                "required": true,
                "content": { "application/webhook+json": {
                    "schema": { "type": "object", "description": "An event as LiveKit sends it." },
                    "example": { "event": "room_started", "id": "EV_1", "createdAt": "1800000000" },
                } },
            }),
        );
        operation.error(HttpCode::InvalidSignature);
        operation.error(HttpCode::InvalidJson);
        operation.error(Code::BodyTooLarge);
        operation.error(Code::BodyTimeout);
    }
}

/// 200 without a body.
struct Taken;

impl Respond for Taken {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
}

impl Describe for Taken {
    fn describe(operation: &mut Operation) {
        operation.answer(200, "Stored.", &[], None);
    }
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Service);
    api.add(
        "/api/livekit/webhooks",
        receive,
        Doc::post("receiveLivekitWebhook", "Receive a LiveKit webhook").about(
            "For LiveKit alone: the bare JWT in `Authorization` signs the hash of the \
                 body. The event is stored by its id, answered at once and applied \
                 afterwards.",
        ),
    );
}

async fn receive(State(app): State, signed: Signed) -> Result<Taken, ApiError> {
    let is_small = signed.body.len() <= SMALL;
    let read =
        move |service: &Service| service.livekit.receive(&signed.authorization, &signed.body);
    let event = if is_small {
        read(&app.service)
    } else {
        let service = Arc::clone(&app.service);
        app.service
            .compute
            .run(None, move |_| read(&service))
            .await?
    };
    let event = event.map_err(|rejected| match rejected {
        Rejected::Signature => ApiError::new(
            HttpCode::InvalidSignature,
            "The event is not signed by our LiveKit.",
        ),
        Rejected::Unreadable(detail) => ApiError::new(HttpCode::InvalidJson, detail),
    })?;
    let payload = serde_json::to_value(&event).map_err(Error::internal)?;
    let mut connection = app.service.db.connection().await.map_err(Error::from)?;
    webhook_events::insert(
        &mut connection,
        &event.id,
        &payload,
        app.service.clock.now(),
    )
    .await
    .map_err(Error::from)?;
    app.service.event_stored.notify_one();
    Ok(Taken)
}
