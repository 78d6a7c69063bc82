//! Sessions: LiveKit rooms with a dispatched agent.

mod attach;
mod client_tokens;
mod dto;
mod events;
mod handlers;
mod knowledge;
mod lookup;
mod order;
mod participant_dto;
mod run_dto;
mod runs;
mod tool_calls;
mod transcript;

pub(super) use run_dto::AgentRunConfig;

use patchbay_service::Code;

use crate::{
    openapi::{Doc, Tag, TimeLimit},
    router::Api,
};

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Sessions);
    let all = "/api/tenants/{tenant_id}/sessions";
    let one = "/api/tenants/{tenant_id}/sessions/{session_id}";
    api.add(
        all,
        handlers::create,
        Doc::post("createSession", "Create a session")
            .about(
                "Resolves the agent's active binding (or the specified one), renders the prompt \
                 with the variables and stores the configuration permanently under its digest. \
                 With `start`, the session is started in the same request; the response is 201 \
                 even if the start has not succeeded, so check `state` and `last_error`. If the \
                 tenant has reached its limit of live sessions, the session is not created.",
            )
            .errors(&[Code::NoActiveBinding, Code::SessionLimitReached])
            .starts(),
    );
    api.add(
        all,
        handlers::list,
        Doc::get("listSessions", "List sessions")
            .about("Returns the tenant's sessions, newest first."),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getSession", "Get a session").about(
            "Returns the state of a session, its times and the digest of its configuration.",
        ),
    );
    api.add(
        one,
        handlers::delete,
        Doc::delete("deleteSession", "Delete a session")
            .about(
                "Erases the variables, rendered prompt, participants and metadata. The \
                 configuration is kept under its digest, and the audit trail keeps the id. \
                 Refused for a session that has not ended.",
            )
            .errors(&[Code::SessionLive]),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/start",
        handlers::start,
        Doc::post("startSession", "Start a session")
            .about(
                "Creates the room and dispatches the agent. Returns 200 once LiveKit has \
                 confirmed, and 202 if it has not yet; the start is then retried until the \
                 start deadline. Starting a started session has no effect and returns the same \
                 response. The state becomes `running` when the agent has joined.",
            )
            .errors(&[Code::SessionOver, Code::SessionLimitReached])
            .starts(),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/stop",
        handlers::stop,
        Doc::post("stopSession", "Stop a session").about(
            "Deletes the room immediately, which disconnects all participants. Stopping a \
                 stopped session has no effect and returns the same response. A worker reports \
                 here why it leaves, with `error` if it failed.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/attach",
        attach::attach,
        Doc::post("attachToSession", "Attach a participant")
            .about(
                "Attaches a participant to a session in `starting` or `running`. `agent` \
                 dispatches an additional agent (for a handoff, or as a supervisor) with its own \
                 run; the session continues if that agent is lost. `user` creates a participant \
                 and returns a join token; this also requires the scope `tokens:write`. `phone` \
                 dials a number into the room; this also requires `calls:write`.",
            )
            .errors(&[
                Code::SessionNotJoinable,
                Code::TooManyParticipants,
                Code::IdentityInUse,
                Code::NoActiveBinding,
                Code::TelephonyNotConfigured,
                Code::CallLimitReached,
            ])
            .starts(),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/client-tokens",
        client_tokens::create,
        Doc::post("createClientToken", "Create a client token")
            .about(
                "Creates a credential for a web page, which reads this session with `getSession`, `listSessionEvents`, \
                 `listTranscript` and `listParticipants`, and nothing else, without the session's variables, metadata and \
                 errors. It is valid for pages of one origin, for an hour at most, until the session ends or the API key \
                 that has created it is revoked or expires. That key needs `sessions:read` as well. If the page has \
                 another origin than this service, the operator must have allowed it (`PATCHBAY_CORS_ORIGINS`).",
            )
            .errors(&[Code::SessionOver]),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/participants",
        handlers::participants,
        Doc::get("listParticipants", "List participants")
            .about("Returns all participants of the session, including agents, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/events",
        events::list,
        Doc::get("listSessionEvents", "List session events").about(
            "Returns the timeline of the session: changes of state, agent runs, participants, \
                 calls, tool calls and searches, newest first by default. Deleted with the session.",
        ),
    );
    let path = "/api/tenants/{tenant_id}/sessions/{session_id}/transcript";
    api.add(
        path,
        transcript::append,
        Doc::post("appendTranscript", "Append transcript turns").about(
            "For the worker: appends turns in batches, also after the session has ended. A \
                 turn with a known id is ignored, so a batch can be sent again.",
        ),
    );
    api.add(
        path,
        transcript::list,
        Doc::get("listTranscript", "List transcript turns").about(
            "Returns the turns of the session, newest first by default. Deleted with the session.",
        ),
    );
    let path = "/api/tenants/{tenant_id}/sessions/{session_id}/usage";
    api.add(
        path,
        transcript::report_usage,
        Doc::post("appendUsage", "Append usage").about(
            "For the worker: reports tokens, seconds of audio and characters by provider and \
                 model. A report with a known id is ignored, so it can be sent again.",
        ),
    );
    api.add(
        path,
        transcript::usage,
        Doc::get("getSessionUsage", "Get the usage of a session")
            .about("Returns the totals of the reported usage by kind, provider and model."),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs",
        runs::list,
        Doc::get("listAgentRuns", "List agent runs")
            .about("Returns all dispatches of agents into the session, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/config",
        runs::config,
        Doc::get("getAgentRunConfig", "Get the configuration of an agent run").about(
            "For the worker: returns the configuration with its digest, and the prompt rendered \
                 for this session.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/tools/{function_name}",
        tool_calls::call,
        Doc::post("callTool", "Call a tool")
            .about(
                "For the worker: Patchbay calls the tool with this name in the run's \
                 configuration, with its secrets, and records the call on the timeline. A failed \
                 call also returns 200, so check `status`. If the process crashes during the \
                 call, a repetition with the same Idempotency-Key returns 409 \
                 `outcome_unknown`, and the call is not repeated.",
            )
            .errors(&[Code::ToolNotCallable, Code::OutcomeUnknown, Code::SessionOver, Code::SecretsNotConfigured])
            .starts()
            .time(TimeLimit::Tool),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/tool-calls",
        tool_calls::report,
        Doc::post("reportToolCall", "Report a tool call").about(
            "For the worker: records a call that a participant's client has made on the \
                 timeline.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/search",
        knowledge::search,
        Doc::post("searchKnowledge", "Search the knowledge of an agent run")
            .about(
                "For the worker: searches the files that are attached to the run's agent, with \
                 the settings in the run's configuration, and records the search on the \
                 timeline. Returns 404 if the binding has no knowledge base.",
            )
            .errors(&[Code::SessionOver, Code::EmbeddingsNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/configurations/{digest}",
        runs::configuration,
        Doc::get("getConfiguration", "Get a configuration").about(
            "Returns the exact configuration of sessions with this digest, which is kept \
                 permanently. The template is unrendered, since variables belong to sessions.",
        ),
    );
}
