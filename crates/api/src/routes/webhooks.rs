//! LiveKit's webhooks: verified, stored, answered. What they mean is worked out afterwards.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::{Method, header::AUTHORIZATION},
};
use futures_util::future::LocalBoxFuture;
use patchbay_livekit::Rejected;
use patchbay_persistence::webhook_events;
use serde_json::json;

use super::health::State;
use crate::{
    answer::Respond,
    app::App,
    compute::SMALL,
    error::{ApiError, Code, Result},
    extract,
    openapi::{Api, Describe, Doc, Operation, Tag},
};

/// The body to the byte, with LiveKit's signature.
struct Signed {
    authorization: String,
    body: actix_web::web::BytesMut,
}

impl FromRequest for Signed {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self>>;
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
        for code in [
            Code::InvalidSignature,
            Code::InvalidJson,
            Code::BodyTooLarge,
            Code::BodyTimeout,
        ] {
            operation.error(code);
        }
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
    api.route(Method::POST, "/api/livekit/webhooks", receive, Doc {
        id: "receiveLivekitWebhook",
        tag: Tag::Service,
        summary: "Receive a LiveKit webhook",
        description: "For LiveKit alone: the bare JWT in `Authorization` signs the hash of the body. \
            The event is stored by its id, answered at once and applied afterwards.",
        errors: &[],
    });
}

async fn receive(State(app): State, signed: Signed) -> Result<Taken> {
    let is_small = signed.body.len() <= SMALL;
    let read = move |app: &App| app.livekit.receive(&signed.authorization, &signed.body);
    let event = if is_small {
        read(&app)
    } else {
        let own = app.clone();
        app.compute.run(None, move |_| read(&own)).await?
    };
    let event = event.map_err(|rejected| match rejected {
        Rejected::Signature => ApiError::new(
            Code::InvalidSignature,
            "The event is not signed by our LiveKit.",
        ),
        Rejected::Unreadable(detail) => ApiError::new(Code::InvalidJson, detail),
    })?;
    let payload = serde_json::to_value(&event).map_err(ApiError::internal)?;
    let mut connection = app.db.connection().await?;
    webhook_events::insert(&mut connection, &event.id, &payload, app.clock.now()).await?;
    app.event_stored.notify_one();
    Ok(Taken)
}
