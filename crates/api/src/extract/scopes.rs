//! Permissions as types, so that a handler's signature shows the required scopes.

use patchbay_domain::Scope;

/// A set of scopes, any one of which suffices.
pub trait Permission: 'static {
    /// The scopes.
    const ANY_OF: &'static [Scope];
    /// Whether the client tokens of the path's session are accepted too.
    const FOR_CLIENTS: bool = false;
}

/// Read one session; also allowed for its client tokens.
pub enum SessionView {}

impl Permission for SessionView {
    const ANY_OF: &'static [Scope] = &[Scope::SessionsRead];
    const FOR_CLIENTS: bool = true;
}

macro_rules! permission {
    ($(#[$doc:meta] $name:ident = $($scope:ident)|+;)*) => {$(
        #[$doc]
        pub enum $name {}
        impl Permission for $name {
            const ANY_OF: &'static [Scope] = &[$(Scope::$scope),+];
        }
    )*};
}

permission! {
    /// Operations of the operator.
    Operator = Operator;
    /// Read the tenant.
    TenantRead = TenantRead | Operator;
    /// Change the tenant.
    TenantWrite = TenantWrite | Operator;
    /// List keys.
    KeysRead = KeysRead | Operator;
    /// Create and revoke keys.
    KeysWrite = KeysWrite | Operator;
    /// Read agents and bindings.
    AgentsRead = AgentsRead;
    /// Change agents and bindings.
    AgentsWrite = AgentsWrite;
    /// Read prompts.
    PromptsRead = PromptsRead;
    /// Change prompts.
    PromptsWrite = PromptsWrite;
    /// Read tools.
    ToolsRead = ToolsRead;
    /// Change tools.
    ToolsWrite = ToolsWrite;
    /// Read runtime configs.
    RuntimeConfigsRead = RuntimeConfigsRead;
    /// Change runtime configs.
    RuntimeConfigsWrite = RuntimeConfigsWrite;
    /// Read sessions.
    SessionsRead = SessionsRead;
    /// Change sessions.
    SessionsWrite = SessionsWrite;
    /// Read the configuration of an agent run.
    RunConfigRead = SessionsRead | Worker;
    /// Stop a session.
    SessionsStop = SessionsWrite | Worker;
    /// Read users.
    UsersRead = UsersRead;
    /// Change users.
    UsersWrite = UsersWrite;
    /// Operations of workers: report on and act for agent runs.
    Worker = Worker;
    /// List and get secrets, without their values.
    SecretsRead = SecretsRead;
    /// Create, replace and delete secrets.
    SecretsWrite = SecretsWrite;
    /// Create join tokens.
    TokensWrite = TokensWrite;
    /// Read the tenant's numbers.
    NumbersRead = NumbersRead | Operator;
    /// Read calls.
    CallsRead = CallsRead;
    /// Make, stop and transfer calls.
    CallsWrite = CallsWrite;
    /// Control a call; also allowed for workers.
    CallsAct = CallsWrite | Worker;
    /// Read SIP trunks.
    SipTrunksRead = SipTrunksRead;
    /// Change SIP trunks.
    SipTrunksWrite = SipTrunksWrite;
    /// Read inbound mappings.
    InboundMappingsRead = InboundMappingsRead;
    /// Change inbound mappings.
    InboundMappingsWrite = InboundMappingsWrite;
    /// Read files.
    FilesRead = FilesRead;
    /// Upload, change and delete files.
    FilesWrite = FilesWrite;
    /// Search files.
    SearchRead = SearchRead;
    /// Read metrics.
    MetricsRead = MetricsRead;
    /// Read the audit trail.
    AuditRead = AuditRead;
}
