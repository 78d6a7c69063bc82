//! What is recorded in the audit trail.

use crate::words::words;

words! {
    /// Kind of a resource whose changes are recorded.
    pub enum ResourceKind {
        /// An agent.
        Agent = "agent",
        /// An API key.
        ApiKey = "api_key",
        /// A binding of an agent.
        Binding = "binding",
        /// A phone call.
        Call = "call",
        /// A file.
        File = "file",
        /// An inbound mapping.
        InboundMapping = "inbound_mapping",
        /// A background job.
        Job = "job",
        /// A phone number.
        Number = "number",
        /// A prompt.
        Prompt = "prompt",
        /// A version of a prompt.
        PromptVersion = "prompt_version",
        /// A runtime config.
        RuntimeConfig = "runtime_config",
        /// A version of a runtime config.
        RuntimeConfigVersion = "runtime_config_version",
        /// A secret.
        Secret = "secret",
        /// A session.
        Session = "session",
        /// A SIP trunk.
        SipTrunk = "sip_trunk",
        /// The tenant itself.
        Tenant = "tenant",
        /// A tool.
        Tool = "tool",
        /// A version of a tool.
        ToolVersion = "tool_version",
        /// A user.
        User = "user",
    }
}

/// What happens to resources: the second part of an action, such as `agent.updated`.
pub const VERBS: [&str; 24] = [
    "activated",
    "answered",
    "attached",
    "canceled",
    "client_token_minted",
    "created",
    "deleted",
    "dialing",
    "dtmf_asked",
    "ended",
    "failed",
    "file_detached",
    "files_attached",
    "ingest_asked",
    "retention_applied",
    "retried",
    "ringing",
    "running",
    "starting",
    "stopping",
    "tested",
    "token_minted",
    "transfer_asked",
    "updated",
];

/// Whether an action is one that is recorded.
pub fn is_action(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(kind, verb)| kind.parse::<ResourceKind>().is_ok() && VERBS.contains(&verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_a_known_kind_and_a_known_verb() {
        for action in ["agent.updated", "session.client_token_minted"] {
            assert!(is_action(action), "{action}");
        }
        for wrong in [
            "",
            "agent",
            "agent.",
            ".updated",
            "house.updated",
            "agent.exploded",
            "agent.updated.twice",
        ] {
            assert!(!is_action(wrong), "{wrong}");
        }
    }
}
