//! The groups in which the document shows operations.

/// A group of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Tag {
    Agents,
    ApiKeys,
    AuditEvents,
    Bindings,
    Calls,
    Files,
    InboundMappings,
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
}

impl Tag {
    /// The name, and what the group is about.
    pub const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Agents => (
                "Agents",
                "Agents: a name, the worker that runs them, and the binding that is active.",
            ),
            Self::ApiKeys => (
                "API keys",
                "Keys of a tenant, their scopes, expiry and revocation.",
            ),
            Self::AuditEvents => (
                "Audit events",
                "Every change of a tenant's resources, and who made it.",
            ),
            Self::Bindings => (
                "Bindings",
                "Which exact versions an agent runs, and which binding was active when.",
            ),
            Self::Calls => (
                "Calls",
                "Telephone calls, outbound and inbound, over a SIP trunk.",
            ),
            Self::Files => (
                "Files",
                "Documents, and their ingest into the knowledge base.",
            ),
            Self::InboundMappings => (
                "Inbound mappings",
                "Which agent answers calls to a phone number, and when.",
            ),
            Self::Knowledge => (
                "Knowledge",
                "Searching files, and attaching them to agents.",
            ),
            Self::Metrics => (
                "Metrics",
                "Sessions, calls, tools and usage, counted over time.",
            ),
            Self::PhoneNumbers => (
                "Phone numbers",
                "Phone numbers that the operator assigns to tenants.",
            ),
            Self::Prompts => ("Prompts", "What an agent is told, in immutable versions."),
            Self::RuntimeConfigs => (
                "Runtime configs",
                "How an agent hears, thinks and speaks, in immutable versions.",
            ),
            Self::Secrets => (
                "Secrets",
                "Values that tools may send to named hosts. They are never answered.",
            ),
            Self::Service => ("Service", "Health of the service, and LiveKit's webhooks."),
            Self::Sessions => (
                "Sessions",
                "LiveKit rooms with an agent dispatched into them.",
            ),
            Self::SipTrunks => ("SIP trunks", "Connections to carriers and PBXs."),
            Self::Tenants => (
                "Tenants",
                "The tenants of the installation, their status and limits.",
            ),
            Self::Tokens => (
                "Tokens",
                "Tokens with which participants join a session's room.",
            ),
            Self::Tools => ("Tools", "What an agent may call, in immutable versions."),
            Self::Users => ("Users", "The people of a tenant."),
        }
    }
}
