//! Scopes of API keys.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;

/// One permission: a resource and a verb. `operator` and `worker` are roles of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Scope {
    /// The operator of this installation; never granted to a tenant's key.
    Operator,
    /// A worker that executes agent runs.
    Worker,
    /// Read the tenant.
    TenantRead,
    /// Change the tenant's name and settings.
    TenantWrite,
    /// List API keys.
    KeysRead,
    /// Create and revoke API keys.
    KeysWrite,
    /// Read agents, bindings and activations.
    AgentsRead,
    /// Change agents, bind versions to them and activate bindings.
    AgentsWrite,
    /// Read prompts and their versions.
    PromptsRead,
    /// Change prompts and add versions.
    PromptsWrite,
    /// Read tools and their versions.
    ToolsRead,
    /// Change tools, add versions and try them.
    ToolsWrite,
    /// Read runtime configs and their versions.
    RuntimeConfigsRead,
    /// Change runtime configs and add versions.
    RuntimeConfigsWrite,
    /// Read sessions, agent runs and configurations.
    SessionsRead,
    /// Create, start, stop and delete sessions.
    SessionsWrite,
    /// Read users.
    UsersRead,
    /// Create, change and erase users.
    UsersWrite,
    /// Read names and hosts of secrets.
    SecretsRead,
    /// Create, replace and delete secrets.
    SecretsWrite,
    /// Create join tokens.
    TokensWrite,
    /// Read the tenant's phone numbers.
    NumbersRead,
    /// Read phone calls.
    CallsRead,
    /// Make, stop and transfer phone calls.
    CallsWrite,
    /// Read SIP trunks.
    SipTrunksRead,
    /// Change SIP trunks.
    SipTrunksWrite,
    /// Read inbound mappings.
    InboundMappingsRead,
    /// Change inbound mappings.
    InboundMappingsWrite,
    /// Read files, their status and the agents that they are attached to.
    FilesRead,
    /// Upload, change, ingest, attach and delete files.
    FilesWrite,
    /// Search files.
    SearchRead,
    /// Read metrics.
    MetricsRead,
    /// Read the audit trail.
    AuditRead,
}

/// Every scope with its name on the wire.
const NAMES: [(Scope, &str); 33] = [
    (Scope::Operator, "operator"),
    (Scope::Worker, "worker"),
    (Scope::TenantRead, "tenant:read"),
    (Scope::TenantWrite, "tenant:write"),
    (Scope::KeysRead, "keys:read"),
    (Scope::KeysWrite, "keys:write"),
    (Scope::AgentsRead, "agents:read"),
    (Scope::AgentsWrite, "agents:write"),
    (Scope::PromptsRead, "prompts:read"),
    (Scope::PromptsWrite, "prompts:write"),
    (Scope::ToolsRead, "tools:read"),
    (Scope::ToolsWrite, "tools:write"),
    (Scope::RuntimeConfigsRead, "runtime-configs:read"),
    (Scope::RuntimeConfigsWrite, "runtime-configs:write"),
    (Scope::SessionsRead, "sessions:read"),
    (Scope::SessionsWrite, "sessions:write"),
    (Scope::UsersRead, "users:read"),
    (Scope::UsersWrite, "users:write"),
    (Scope::SecretsRead, "secrets:read"),
    (Scope::SecretsWrite, "secrets:write"),
    (Scope::TokensWrite, "tokens:write"),
    (Scope::NumbersRead, "numbers:read"),
    (Scope::CallsRead, "calls:read"),
    (Scope::CallsWrite, "calls:write"),
    (Scope::SipTrunksRead, "sip-trunks:read"),
    (Scope::SipTrunksWrite, "sip-trunks:write"),
    (Scope::InboundMappingsRead, "inbound-mappings:read"),
    (Scope::InboundMappingsWrite, "inbound-mappings:write"),
    (Scope::FilesRead, "files:read"),
    (Scope::FilesWrite, "files:write"),
    (Scope::SearchRead, "search:read"),
    (Scope::MetricsRead, "metrics:read"),
    (Scope::AuditRead, "audit:read"),
];

impl Scope {
    /// Every scope.
    pub const ALL: [Self; NAMES.len()] = {
        let mut all = [Self::Operator; NAMES.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = NAMES[index].0;
            index += 1;
        }
        all
    };

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        NAMES
            .iter()
            .find(|(scope, _)| *scope == self)
            .map_or("", |(_, name)| name)
    }

    /// All scopes that a tenant's key may hold.
    pub fn grantable() -> impl Iterator<Item = Self> {
        NAMES
            .iter()
            .map(|(scope, _)| *scope)
            .filter(|scope| *scope != Self::Operator)
    }
}

impl From<Scope> for &'static str {
    fn from(scope: Scope) -> Self {
        scope.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(scope, _)| *scope)
            .ok_or_else(|| Invalid::new("unknown_scope", format!("no scope `{text}`")))
    }
}

impl TryFrom<String> for Scope {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A named set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Everything in the tenant but `worker`.
    Admin,
    /// Everything but the tenant itself, its keys, its audit trail and writes of secrets and SIP trunks.
    Editor,
    /// Every `:read` but keys and audit.
    Viewer,
    /// A worker of this tenant.
    Worker,
}

impl Preset {
    /// The scopes of the preset, in the order of their declaration.
    pub fn scopes(self) -> Vec<Scope> {
        let admin_only = [
            Scope::TenantWrite,
            Scope::KeysRead,
            Scope::KeysWrite,
            Scope::AuditRead,
            Scope::SecretsWrite,
            Scope::SipTrunksWrite,
        ];
        Scope::grantable()
            .filter(|scope| match self {
                Self::Admin => *scope != Scope::Worker,
                Self::Editor => *scope != Scope::Worker && !admin_only.contains(scope),
                Self::Viewer => !admin_only.contains(scope) && scope.as_str().ends_with(":read"),
                Self::Worker => *scope == Scope::Worker,
            })
            .collect()
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use super::{NAMES, Scope};
    use crate::schema::{ComposeSchema, RefOr, Schema, ToSchema, closed};

    impl ComposeSchema for Scope {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            closed(NAMES.map(|(_, name)| name))
        }
    }

    impl ToSchema for Scope {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for (scope, name) in NAMES {
            assert_eq!(name.parse::<Scope>().unwrap(), scope);
            assert_eq!(NAMES.iter().filter(|(_, other)| *other == name).count(), 1);
        }
    }

    #[test]
    fn presets_never_hold_the_operator() {
        for preset in [
            Preset::Admin,
            Preset::Editor,
            Preset::Viewer,
            Preset::Worker,
        ] {
            assert!(!preset.scopes().contains(&Scope::Operator));
        }
        assert!(
            !Preset::Viewer
                .scopes()
                .iter()
                .any(|s| s.as_str().ends_with(":write"))
        );
        assert_eq!(Preset::Worker.scopes(), [Scope::Worker]);
    }
}
