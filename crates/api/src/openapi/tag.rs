//! Tags of operations.

/// The tag of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "described by `name_and_description`")]
pub enum Tag {
    Agents,
    ApiKeys,
    AuditEvents,
    Bindings,
    Calls,
    Files,
    InboundMappings,
    Jobs,
    Knowledge,
    Metrics,
    PhoneNumbers,
    Prompts,
    RuntimeConfigs,
    Secrets,
    Service,
    Sessions,
    SipTrunks,
    Tenants,
    Tokens,
    Tools,
    Users,
    Workers,
}

impl Tag {
    /// Groups of tags, by task.
    pub const GROUPS: [&str; 6] = [
        "Build agents",
        "Run conversations",
        "Telephony",
        "Knowledge base",
        "Observe",
        "Administer",
    ];

    /// Returns the tag's group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Agents
            | Self::Prompts
            | Self::Tools
            | Self::RuntimeConfigs
            | Self::Bindings
            | Self::Secrets => "Build agents",
            Self::Sessions | Self::Tokens | Self::Users => "Run conversations",
            Self::Calls | Self::PhoneNumbers | Self::SipTrunks | Self::InboundMappings => {
                "Telephony"
            }
            Self::Files | Self::Knowledge => "Knowledge base",
            Self::Metrics | Self::AuditEvents => "Observe",
            Self::Tenants | Self::ApiKeys | Self::Workers | Self::Jobs | Self::Service => {
                "Administer"
            }
        }
    }

    /// Returns the name and the description.
    pub const fn name_and_description(self) -> (&'static str, &'static str) {
        match self {
            Self::Agents => (
                "Agents",
                "Agents, with a name, a worker and an active binding.",
            ),
            Self::ApiKeys => (
                "API keys",
                "API keys of a tenant, with scopes, expiry and revocation.",
            ),
            Self::AuditEvents => (
                "Audit events",
                "Audit trail of all changes to a tenant's resources.",
            ),
            Self::Bindings => (
                "Bindings",
                "Bindings of an agent to exact versions of a prompt, tools and a runtime config.",
            ),
            Self::Calls => ("Calls", "Outbound and inbound phone calls over SIP trunks."),
            Self::Files => ("Files", "Files and their ingest into the knowledge base."),
            Self::InboundMappings => (
                "Inbound mappings",
                "Assignment of phone numbers to agents, with opening hours.",
            ),
            Self::Jobs => (
                "Jobs",
                "Background jobs of the installation, for its operator.",
            ),
            Self::Knowledge => (
                "Knowledge",
                "Search in files, and attachment of files to agents.",
            ),
            Self::Metrics => (
                "Metrics",
                "Metrics of sessions, calls, tools and usage over time.",
            ),
            Self::PhoneNumbers => (
                "Phone numbers",
                "Phone numbers that the operator assigns to tenants.",
            ),
            Self::Prompts => ("Prompts", "Prompts of agents, in immutable versions."),
            Self::RuntimeConfigs => (
                "Runtime configs",
                "Models and settings for speech recognition, language and speech synthesis, in immutable versions.",
            ),
            Self::Secrets => (
                "Secrets",
                "Values that tools may send to specified hosts. They are never returned.",
            ),
            Self::Service => (
                "Service",
                "Health of the service, and the endpoint for LiveKit's webhooks.",
            ),
            Self::Sessions => ("Sessions", "LiveKit rooms with dispatched agents."),
            Self::SipTrunks => ("SIP trunks", "Connections to carriers and PBXs."),
            Self::Tenants => (
                "Tenants",
                "Tenants of the installation, with status and limits.",
            ),
            Self::Tokens => ("Tokens", "Join tokens for the room of a session."),
            Self::Tools => (
                "Tools",
                "Tools that an agent can call, in immutable versions.",
            ),
            Self::Users => ("Users", "Users of a tenant."),
            Self::Workers => (
                "Workers",
                "Worker processes, which run the agents of all tenants.",
            ),
        }
    }
}
