//! Routes of phone calls.

mod actions;
pub(super) mod dto;
mod handlers;

use crate::{
    openapi::{Doc, Tag, TimeLimit},
    router::Api,
};
use patchbay_service::Code;

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Calls);
    let all = "/api/tenants/{tenant_id}/calls";
    let one = "/api/tenants/{tenant_id}/calls/{call_id}";
    api.add(
        all,
        handlers::create,
        Doc::post("createCall", "Create a call")
            .about(
                "Creates an outbound call and its session. With `start`, the call is also started; \
                 the response is 201 in any case, and `state` shows the progress. Numbers that the \
                 operator denies and durations above the tenant's limit fail validation.",
            )
            .errors(&[
                Code::NoActiveBinding,
                Code::TelephonyNotConfigured,
                Code::CallLimitReached,
                Code::SessionLimitReached,
            ])
            .starts(),
    );
    api.add(
        all,
        handlers::list,
        Doc::get("listCalls", "List calls")
            .about("Returns the inbound and outbound calls of the tenant, newest first."),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getCall", "Get a call")
            .about("Returns the call with its state, end reason and timestamps."),
    );
    api.add(
        "/api/tenants/{tenant_id}/calls/{call_id}/start",
        handlers::start,
        Doc::post("startCall", "Start a call")
            .about(
                "Creates the room and dispatches the agent. The number is dialled once the agent \
                 has joined, and not at all if no agent joins. Returns 200 if LiveKit has \
                 confirmed the room, and 202 if the confirmation is pending. A number is dialled \
                 at most once per call; repeated starts return the call without dialling again.",
            )
            .errors(&[
                Code::CallOver,
                Code::SessionOver,
                Code::CallLimitReached,
                Code::SessionLimitReached,
                Code::ValidationFailed,
            ])
            .starts(),
    );
    api.add(
        "/api/tenants/{tenant_id}/calls/{call_id}/stop",
        handlers::stop,
        Doc::post("stopCall", "Stop a call").about(
            "Ends the call. An unanswered call stops ringing and becomes `canceled`; an answered \
             call becomes `ended`. The session that was created for the call ends with it. \
             Repeated stops return the call unchanged.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/calls/{call_id}/transfer",
        actions::transfer,
        Doc::post("transferCall", "Transfer a call")
            .about(
                "Asks the carrier to transfer the call to another phone number or SIP address. On \
                 success, the call ends with reason `transferred`. A failed transfer is also \
                 returned with status 200; `status` shows whether it succeeded, and the call \
                 continues if not. Transfers are never retried: if the outcome was lost in a \
                 crash, a request with the same `Idempotency-Key` returns 409 `outcome_unknown`.",
            )
            .errors(&[Code::CallNotAnswered, Code::CallOver, Code::OutcomeUnknown])
            .starts()
            .time(TimeLimit::Tool),
    );
    api.add(
        "/api/tenants/{tenant_id}/calls/{call_id}/dtmf",
        actions::dtmf,
        Doc::post("sendDtmf", "Send DTMF")
            .about(
                "Makes the agent of the session send DTMF tones to the other party, for example to \
                 navigate a phone menu. A failure is also returned with status 200; `status` shows \
                 whether the tones were sent.",
            )
            .errors(&[Code::CallNotAnswered, Code::CallOver, Code::OutcomeUnknown])
            .starts()
            .time(TimeLimit::Tool),
    );
}
