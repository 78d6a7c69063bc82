//! Telephone calls.

mod actions;
pub(super) mod dto;
mod handlers;

use actix_web::http::Method;

use crate::{
    error::Code,
    openapi::{Api, Doc, Tag},
};

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::Calls;
    let all = "/api/tenants/{tenant_id}/calls";
    let one = "/api/tenants/{tenant_id}/calls/{call_id}";
    api.route(Method::POST, all, handlers::create, Doc {
        id: "createCall",
        tag,
        summary: "Create a call",
        description: "Makes a call out and the session for it. With `start`, it is started in the same request; the answer is 201 in any \
            case, and what becomes of the call is seen in its `state`. A number that the operator denies, and a call longer than the \
            tenant's may be, are not valid.",
        errors: &[Code::NoActiveBinding, Code::TelephonyNotConfigured, Code::CallLimitReached, Code::SessionLimitReached],
    });
    api.route(
        Method::GET,
        all,
        handlers::list,
        Doc {
            id: "listCalls",
            tag,
            summary: "List calls",
            description: "The tenant's calls in both directions, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        handlers::get,
        Doc {
            id: "getCall",
            tag,
            summary: "Get a call",
            description: "State, reason and times.",
            errors: &[],
        },
    );
    api.route(Method::POST, "/api/tenants/{tenant_id}/calls/{call_id}/start", handlers::start, Doc {
        id: "startCall",
        tag,
        summary: "Start a call",
        description: "Creates the room, dispatches the agent, and dials when the agent has joined: where no agent comes, nobody's telephone \
            rings. Answers 200 once LiveKit has confirmed the room, and 202 when it has not yet. A number is dialled once and never again, \
            whatever happens; a second start answers the same.",
        errors: &[Code::CallOver, Code::SessionOver, Code::CallLimitReached, Code::SessionLimitReached, Code::ValidationFailed],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/calls/{call_id}/stop", handlers::stop, Doc {
        id: "stopCall",
        tag,
        summary: "Stop a call",
        description: "Before the answer the call is `canceled`, and a telephone that rings is silent; afterwards it is `ended`. The session \
            that was made for it ends with it. A second stop answers the same.",
        errors: &[],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/calls/{call_id}/transfer", actions::transfer, Doc {
        id: "transferCall",
        tag,
        summary: "Transfer a call",
        description: "Asks the carrier to connect the telephone with another number or SIP address; the call here is over then. A transfer that             fails is an answer too: look at `status`; the call goes on. Transfers are never repeated: after a crash in between, the same             Idempotency-Key is answered 409 `outcome_unknown`.",
        errors: &[Code::CallNotAnswered, Code::CallOver, Code::OutcomeUnknown],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/calls/{call_id}/dtmf", actions::dtmf, Doc {
        id: "sendDtmf",
        tag,
        summary: "Send DTMF",
        description: "Has the session's agent send the tones of these keys to the telephone, as for a menu. Keys that could not be sent are an             answer too: look at `status`.",
        errors: &[Code::CallNotAnswered, Code::CallOver, Code::OutcomeUnknown],
    });
}
