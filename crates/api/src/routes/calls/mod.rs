//! Telephone calls.

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
                "Makes a call out and the session for it. With `start`, it is started in the \
                 same request; the answer is 201 in any case, and what becomes of the call is \
                 seen in its `state`. A number that the operator denies, and a call longer \
                 than the tenant's may be, are not valid.",
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
            .about("The tenant's calls in both directions, newest first."),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getCall", "Get a call").about("State, reason and times."),
    );
    api.add(
        "/api/tenants/{tenant_id}/calls/{call_id}/start",
        handlers::start,
        Doc::post("startCall", "Start a call")
            .about(
                "Creates the room, dispatches the agent, and dials when the agent has joined: \
                 where no agent comes, no telephone rings. Answers 200 once LiveKit has \
                 confirmed the room, and 202 when it has not yet. A number is dialled once \
                 and never again, whatever happens; a second start answers the same.",
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
            "Before the answer the call is `canceled` and ringing stops; afterwards it is `ended`. The \
             session that was made for it ends with it. A second stop answers the same.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/calls/{call_id}/transfer",
        actions::transfer,
        Doc::post("transferCall", "Transfer a call")
            .about(
                "Asks the carrier to connect the telephone with another number or SIP \
                 address; the call here is over then. A transfer that             fails is an \
                 answer too: look at `status`; the call goes on. Transfers are never \
                 repeated: after a crash in between, the same             Idempotency-Key is \
                 answered 409 `outcome_unknown`.",
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
                "Has the session's agent send the tones of these keys to the telephone, as \
                 for a menu. Keys that could not be sent are an             answer too: look \
                 at `status`.",
            )
            .errors(&[Code::CallNotAnswered, Code::CallOver, Code::OutcomeUnknown])
            .starts()
            .time(TimeLimit::Tool),
    );
}
