//! Sessions: a LiveKit room with an agent dispatched into it.

mod attach;
mod dto;
mod events;
mod handlers;
mod knowledge;
mod runs;
mod tool_calls;
mod transcript;

pub(super) use dto::AgentRunConfig;
pub(super) use handlers::{is_dispatched, is_over};
pub(super) use runs::run_config;

use actix_web::http::Method;

use patchbay_domain::SessionId;
use patchbay_persistence::{TenantTx, sessions};

use crate::{
    error::{ApiError, Code, Result},
    extract::Caller,
    flows::record::Record,
    openapi::{Api, Doc, Tag},
};

/// 404 where there is no such session.
async fn require(tx: &mut TenantTx, id: SessionId) -> Result<()> {
    let found = sessions::find(tx, id, false).await?;
    found.map(drop).ok_or_else(ApiError::not_found)
}

/// The session with all that changes with it, locked.
pub(super) async fn locked<P>(
    caller: &Caller<P>,
    tx: &mut TenantTx,
    id: SessionId,
) -> Result<Record> {
    let found = Record::load(tx, &caller.app.clock, id).await?;
    found.ok_or_else(ApiError::not_found)
}

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::Sessions;
    let all = "/api/tenants/{tenant_id}/sessions";
    let one = "/api/tenants/{tenant_id}/sessions/{session_id}";
    api.route(Method::POST, all, handlers::create, Doc {
        id: "createSession",
        tag,
        summary: "Create a session",
        description: "Resolves the agent's active binding (or the one named), renders the prompt with the given variables and \
            keeps the configuration under its digest for good. With `start`, it is started in the same request; \
            the answer is 201 in any case, so look at `state` and `last_error`; where the tenant has as many live sessions as it may, \
            nothing is created.",
        errors: &[Code::NoActiveBinding, Code::SessionLimitReached],
    });
    api.route(
        Method::GET,
        all,
        handlers::list,
        Doc {
            id: "listSessions",
            tag,
            summary: "List sessions",
            description: "The tenant's sessions, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        handlers::get,
        Doc {
            id: "getSession",
            tag,
            summary: "Get a session",
            description: "State, times, and the digest of the configuration that it runs.",
            errors: &[],
        },
    );
    api.route(Method::DELETE, one, handlers::delete, Doc {
        id: "deleteSession",
        tag,
        summary: "Delete a session",
        description: "Erases variables, rendered prompt, participants and metadata. The configuration stays under its digest, \
            and the audit trail keeps the id. Refused before the session is over.",
        errors: &[Code::SessionLive],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/sessions/{session_id}/start", handlers::start, Doc {
        id: "startSession",
        tag,
        summary: "Start a session",
        description: "Creates the room and dispatches the agent. Answers 200 once LiveKit has confirmed, and 202 when it has not yet; \
            it is then tried again until the start deadline. A second start answers the same. \
            `running` follows when the agent has joined.",
        errors: &[Code::SessionOver, Code::SessionLimitReached],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/sessions/{session_id}/stop", handlers::stop, Doc {
        id: "stopSession",
        tag,
        summary: "Stop a session",
        description: "Deletes the room and waits for nobody in it. A second stop answers the same. \
            A worker says here why it leaves, with `error` when it failed.",
        errors: &[],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/sessions/{session_id}/attach", attach::attach, Doc {
        id: "attachToSession",
        tag,
        summary: "Attach a participant",
        description: "Into a session in `starting` or `running`. `agent` dispatches a further agent (a hand-over, a supervisor) with a run of \
            its own; the session goes on when it is lost. `user` records the participant and answers with their join token, \
            which needs the scope `tokens:write` too. `phone` dials a number into the room, which needs `calls:write` too.",
        errors: &[
            Code::SessionNotJoinable, Code::TooManyParticipants, Code::IdentityInUse, Code::NoActiveBinding,
            Code::TelephonyNotConfigured, Code::CallLimitReached,
        ],
    });
    api.route(
        Method::GET,
        "/api/tenants/{tenant_id}/sessions/{session_id}/participants",
        handlers::participants,
        Doc {
            id: "listParticipants",
            tag,
            summary: "List participants",
            description: "Everyone who was seen in the room, agents included, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        "/api/tenants/{tenant_id}/sessions/{session_id}/events",
        events::list,
        Doc {
            id: "listSessionEvents",
            tag,
            summary: "List session events",
            description: "The timeline: changes of state, agent runs, participants and tool calls, newest first. Erased with the session.",
            errors: &[],
        },
    );
    let path = "/api/tenants/{tenant_id}/sessions/{session_id}/transcript";
    api.route(Method::POST, path, transcript::append, Doc {
        id: "appendTranscript",
        tag,
        summary: "Append transcript turns",
        description: "For the worker: what was said, in batches, also after the session's end. A turn whose id is known is left as it is, \
            so a batch may be sent again.",
        errors: &[],
    });
    api.route(
        Method::GET,
        path,
        transcript::list,
        Doc {
            id: "listTranscript",
            tag,
            summary: "List transcript turns",
            description: "The turns of the session, newest first. Erased with the session.",
            errors: &[],
        },
    );
    let path = "/api/tenants/{tenant_id}/sessions/{session_id}/usage";
    api.route(Method::POST, path, transcript::append_usage, Doc {
        id: "appendUsage",
        tag,
        summary: "Append usage",
        description: "For the worker: tokens, seconds and characters by provider and model. A report whose id is known is left as it is, \
            so it may be sent again.",
        errors: &[],
    });
    api.route(
        Method::GET,
        path,
        transcript::usage,
        Doc {
            id: "getSessionUsage",
            tag,
            summary: "Get the usage of a session",
            description: "Sums of what its workers have reported, by kind, provider and model.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs",
        runs::list,
        Doc {
            id: "listAgentRuns",
            tag,
            summary: "List agent runs",
            description: "Every dispatch of the agent into the session, newest first.",
            errors: &[],
        },
    );
    api.route(Method::GET, "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/config", runs::config, Doc {
        id: "getAgentRunConfig",
        tag,
        summary: "Get the configuration of an agent run",
        description: "For the worker: the configuration with its digest, and the prompt rendered for this session.",
        errors: &[],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/tools/{function_name}", tool_calls::call, Doc {
        id: "callTool",
        tag,
        summary: "Call a tool",
        description: "For the worker: Patchbay calls the tool that the run's configuration pins under this name, with its secrets, and puts the \
            call on the timeline. A call that fails is an answer too: look at `status`. After a crash in between, the same \
            Idempotency-Key is answered 409 `outcome_unknown`, and the call is not repeated.",
        errors: &[Code::ToolNotCallable, Code::OutcomeUnknown, Code::SessionOver, Code::SecretsNotConfigured],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/tool-calls", tool_calls::report, Doc {
        id: "reportToolCall",
        tag,
        summary: "Report a tool call",
        description: "For the worker: puts a call that a participant's client has carried out onto the timeline.",
        errors: &[],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/search", knowledge::search, Doc {
        id: "searchKnowledge",
        tag,
        summary: "Search the knowledge of an agent run",
        description: "For the worker: searches the files that are attached to the run's agent, as the run's configuration pins it, and puts \
            onto the timeline what was found. Not there where the binding has no knowledge.",
        errors: &[Code::SessionOver, Code::EmbeddingsNotConfigured],
    });
    api.route(Method::GET, "/api/tenants/{tenant_id}/configurations/{digest}", runs::configuration, Doc {
        id: "getConfiguration",
        tag,
        summary: "Get a configuration",
        description: "Exactly what sessions with this digest ran, for good. The template is unrendered: variables belong to sessions.",
        errors: &[],
    });
}
