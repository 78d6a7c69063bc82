//! Who acts, and what is known of the request.

use std::net::IpAddr;

use patchbay_domain::ApiKeyId;

use crate::{Code, Error, Result};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The operator of the installation.
    Operator,
    /// A worker with the installation's worker key.
    Worker,
    /// A tenant's API key.
    Key(ApiKeyId),
    /// The service itself, in the background.
    System,
}

impl Actor {
    /// The kind in the audit trail.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Worker => "worker",
            Self::Key(_) => "api_key",
            Self::System => "system",
        }
    }

    /// The id in the audit trail: the key's, or the kind again.
    pub fn id(&self) -> String {
        match self {
            Self::Key(id) => id.to_string(),
            other => other.kind().to_owned(),
        }
    }
}

/// Where a change comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Who acts.
    pub actor: Actor,
    /// Id of the request; empty in the background.
    pub request_id: String,
    /// Address of the client; none in the background.
    pub address: Option<IpAddr>,
    /// Whether the tenant is suspended: its workers may finish live sessions, and nothing else.
    pub is_suspended: bool,
}

impl Origin {
    /// The service itself: a job, a webhook or a command.
    pub const fn system() -> Self {
        Self {
            actor: Actor::System,
            request_id: String::new(),
            address: None,
            is_suspended: false,
        }
    }

    /// Refuses what a suspended tenant's worker may not do: anything but finishing what is live.
    pub fn require_live_if_suspended(&self, is_live: bool) -> Result<()> {
        if self.is_suspended && !is_live {
            let detail = "The operator has suspended this tenant.";
            return Err(Error::new(Code::TenantSuspended, detail));
        }
        Ok(())
    }
}
