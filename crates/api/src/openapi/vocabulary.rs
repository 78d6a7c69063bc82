//! Strings with known values, to which later versions may add some.

use patchbay_domain::{
    call::{KNOWN_REASONS, reason},
    end_reason,
    states::JobKind,
    vocabulary,
};

use crate::code::Code;

vocabulary! {
    /// Codes of errors.
    pub struct ErrorCode = Code::all().map(Code::name)
}

vocabulary! {
    /// Why sessions end.
    pub struct SessionEndReason = [
        end_reason::COMPLETED,
        end_reason::ABANDONED,
        end_reason::STOPPED,
        end_reason::CANCELED,
        end_reason::MAX_DURATION,
        reason::AGENT_HANGUP,
        end_reason::AGENT_ERROR,
        end_reason::NO_WORKER,
        end_reason::AGENT_LOST,
        end_reason::LIVEKIT_UNAVAILABLE,
    ]
}

vocabulary! {
    /// Why phone calls end.
    pub struct CallReason = KNOWN_REASONS
}

vocabulary! {
    /// Kinds of jobs.
    pub struct KnownJobKind = JobKind::ALL.map(JobKind::as_str)
}

vocabulary! {
    /// Why an inbound call would be refused.
    pub struct RefusalReason = [
        "number_not_assigned",
        "no_mapping",
        "mapping_disabled",
        "closed",
        "no_active_binding",
        "not_synced",
    ]
}

vocabulary! {
    /// Why the ingest of a file fails.
    pub struct IngestErrorCode = [
        "encrypted_pdf",
        "encrypted",
        "no_text_found",
        "unsupported_type",
        "damaged",
        "too_large",
        "too_much_memory",
        "timed_out",
        "embedding_refused",
        "embedding_failed",
        "gave_up",
    ]
}

vocabulary! {
    /// Why the call of a tool fails.
    pub struct ToolErrorCode = [
        "address_refused",
        "unreachable",
        "timeout",
        "http_status",
        "answer_too_large",
        "answer_encoded",
        "redirect_refused",
        "not_json",
        "result_missing",
        "mcp_error",
        "tool_error",
        "unknown_secret",
        "secret_not_for_host",
        "path_climbs",
        "invalid_header",
        "invalid_url",
        "render_failed",
        "overloaded",
    ]
}

vocabulary! {
    /// Types of resources that stand in the way of a change.
    pub struct BlockerType = ["agent", "binding", "call", "inbound_mapping", "session"]
}

vocabulary! {
    /// Warnings about a binding.
    pub struct WarningCode = ["worker_lacks"]
}
