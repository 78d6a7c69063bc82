//! Sessions: a LiveKit room with an agent dispatched into it.

mod attach;
mod dto;
mod events;
mod handlers;
mod knowledge;
mod lookup;
mod runs;
mod tool_calls;
mod transcript;

pub(super) use dto::AgentRunConfig;

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
                "Resolves the agent's active binding (or the one named), renders the prompt \
                 with the given variables and keeps the configuration under its digest for \
                 good. With `start`, it is started in the same request; the answer is 201 in \
                 any case, so look at `state` and `last_error`; where the tenant has as many \
                 live sessions as it may, nothing is created.",
            )
            .errors(&[Code::NoActiveBinding, Code::SessionLimitReached])
            .starts(),
    );
    api.add(
        all,
        handlers::list,
        Doc::get("listSessions", "List sessions").about("The tenant's sessions, newest first."),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getSession", "Get a session")
            .about("State, times, and the digest of the configuration that it runs."),
    );
    api.add(
        one,
        handlers::delete,
        Doc::delete("deleteSession", "Delete a session")
            .about(
                "Erases variables, rendered prompt, participants and metadata. The \
                 configuration stays under its digest, and the audit trail keeps the id. \
                 Refused before the session is over.",
            )
            .errors(&[Code::SessionLive]),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/start",
        handlers::start,
        Doc::post("startSession", "Start a session")
            .about(
                "Creates the room and dispatches the agent. Answers 200 once LiveKit has \
                 confirmed, and 202 when it has not yet; it is then tried again until the \
                 start deadline. A second start answers the same. `running` follows when the \
                 agent has joined.",
            )
            .errors(&[Code::SessionOver, Code::SessionLimitReached])
            .starts(),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/stop",
        handlers::stop,
        Doc::post("stopSession", "Stop a session").about(
            "Deletes the room and waits for nobody in it. A second stop answers the same. \
                 A worker says here why it leaves, with `error` when it failed.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/attach",
        attach::attach,
        Doc::post("attachToSession", "Attach a participant")
            .about(
                "Into a session in `starting` or `running`. `agent` dispatches a further \
                 agent (a hand-over, a supervisor) with a run of its own; the session goes on \
                 when it is lost. `user` records the participant and answers with their join \
                 token, which needs the scope `tokens:write` too. `phone` dials a number into \
                 the room, which needs `calls:write` too.",
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
        "/api/tenants/{tenant_id}/sessions/{session_id}/participants",
        handlers::participants,
        Doc::get("listParticipants", "List participants")
            .about("Everyone who was seen in the room, agents included, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/events",
        events::list,
        Doc::get("listSessionEvents", "List session events").about(
            "The timeline: changes of state, agent runs, participants and tool calls, \
                 newest first. Erased with the session.",
        ),
    );
    let path = "/api/tenants/{tenant_id}/sessions/{session_id}/transcript";
    api.add(
        path,
        transcript::append,
        Doc::post("appendTranscript", "Append transcript turns").about(
            "For the worker: what was said, in batches, also after the session's end. A \
                 turn whose id is known is left as it is, so a batch may be sent again.",
        ),
    );
    api.add(
        path,
        transcript::list,
        Doc::get("listTranscript", "List transcript turns")
            .about("The turns of the session, newest first. Erased with the session."),
    );
    let path = "/api/tenants/{tenant_id}/sessions/{session_id}/usage";
    api.add(
        path,
        transcript::report_usage,
        Doc::post("appendUsage", "Append usage").about(
            "For the worker: tokens, seconds and characters by provider and model. A \
                 report whose id is known is left as it is, so it may be sent again.",
        ),
    );
    api.add(
        path,
        transcript::usage,
        Doc::get("getSessionUsage", "Get the usage of a session")
            .about("Sums of what its workers have reported, by kind, provider and model."),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs",
        runs::list,
        Doc::get("listAgentRuns", "List agent runs")
            .about("Every dispatch of the agent into the session, newest first."),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/config",
        runs::config,
        Doc::get("getAgentRunConfig", "Get the configuration of an agent run").about(
            "For the worker: the configuration with its digest, and the prompt rendered \
                 for this session.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/tools/{function_name}",
        tool_calls::call,
        Doc::post("callTool", "Call a tool")
            .about(
                "For the worker: Patchbay calls the tool that the run's configuration pins \
                 under this name, with its secrets, and puts the call on the timeline. A call \
                 that fails is an answer too: look at `status`. After a crash in between, the \
                 same Idempotency-Key is answered 409 `outcome_unknown`, and the call is not \
                 repeated.",
            )
            .errors(&[Code::ToolNotCallable, Code::OutcomeUnknown, Code::SessionOver, Code::SecretsNotConfigured])
            .starts()
            .time(TimeLimit::Tool),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/tool-calls",
        tool_calls::report,
        Doc::post("reportToolCall", "Report a tool call").about(
            "For the worker: puts a call that a participant's client has carried out onto \
                 the timeline.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/sessions/{session_id}/agent-runs/{agent_run_id}/search",
        knowledge::search,
        Doc::post("searchKnowledge", "Search the knowledge of an agent run")
            .about(
                "For the worker: searches the files that are attached to the run's agent, as \
                 the run's configuration pins it, and puts onto the timeline what was found. \
                 Not there where the binding has no knowledge.",
            )
            .errors(&[Code::SessionOver, Code::EmbeddingsNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/configurations/{digest}",
        runs::configuration,
        Doc::get("getConfiguration", "Get a configuration").about(
            "Exactly what sessions with this digest ran, for good. The template is \
                 unrendered: variables belong to sessions.",
        ),
    );
}
