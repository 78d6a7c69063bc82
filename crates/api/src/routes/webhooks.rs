//! Receiver of LiveKit's webhooks. Events are verified and stored in the request, and processed afterwards.

use std::sync::Arc;

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header::AUTHORIZATION,
};
use futures_util::future::LocalBoxFuture;
use patchbay_livekit::{Event, Rejected};
use patchbay_persistence::webhook_events;
use patchbay_service::{Code, Error, Service, compute::MAX_INLINE_BYTES};
use serde_json::json;

use super::health::State;
use crate::{
    code::HttpCode,
    error::ApiError,
    extract,
    openapi::{Describe, Doc, Operation, Tag},
    response::Respond,
    router::Api,
};

/// The raw request body and LiveKit's signature.
struct SignedWebhook {
    authorization: String,
    body: actix_web::web::BytesMut,
}

impl FromRequest for SignedWebhook {
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

impl Describe for SignedWebhook {
    fn describe(operation: &mut Operation) {
        operation.set("security", json!([{ "livekit": [] }]));
        operation.set(
            "requestBody",
            json!({
                "required": true,
                "content": { "application/webhook+json": {
                    "schema": { "type": "object", "description": "A LiveKit webhook event." },
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

/// Response 200 without a body.
struct EventStored;

impl Respond for EventStored {
    async fn respond(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
}

impl Describe for EventStored {
    fn describe(operation: &mut Operation) {
        operation.response(
            200,
            "The event is stored, or says nothing about a session.",
            &[],
            None,
        );
    }
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Service);
    api.add(
        "/api/livekit/webhooks",
        receive,
        Doc::post("receiveLivekitWebhook", "Receive a LiveKit webhook").about(
            "Called by LiveKit only. The `Authorization` header carries a JWT, without the \
             `Bearer` prefix, that contains the hash of the body. The event is stored under its id \
             and processed in the background.",
        ),
    );
}

async fn receive(State(app): State, webhook: SignedWebhook) -> Result<EventStored, ApiError> {
    let event = verify(&app.service, webhook).await?;
    if !event.is_relevant() {
        return Ok(EventStored);
    }
    let payload = serde_json::to_value(&event).map_err(Error::internal)?;
    let room = event.room.as_ref().map_or("", |room| &room.name);
    let now = app.service.clock.now();
    let mut connection = app.service.db.connection().await.map_err(Error::from)?;
    webhook_events::insert(&mut connection, (&event.id, room), &payload, now)
        .await
        .map_err(Error::from)?;
    app.service.event_stored.notify_one();
    Ok(EventStored)
}

/// Verifies and reads an event; a large one on a compute thread.
async fn verify(service: &Arc<Service>, webhook: SignedWebhook) -> Result<Event, ApiError> {
    let is_small = webhook.body.len() <= MAX_INLINE_BYTES;
    let receive = move |service: &Service| {
        let livekit = &service.livekit;
        livekit.receive(&webhook.authorization, &webhook.body)
    };
    let event = if is_small {
        receive(service)
    } else {
        let shared = Arc::clone(service);
        let read = service.compute.run(None, move |_| receive(&shared));
        read.await?
    };
    event.map_err(|rejected| match rejected {
        Rejected::Signature => ApiError::new(
            HttpCode::InvalidSignature,
            "The signature is missing or invalid.",
        ),
        Rejected::Unreadable(detail) => ApiError::new(HttpCode::InvalidJson, detail),
    })
}
