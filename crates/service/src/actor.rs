//! The actor of a change, and the request from which it originates.

use std::net::IpAddr;

use patchbay_domain::{ApiKeyId, states::ActorKind};

use crate::{Error, Result};

/// The actor of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The operator of the installation.
    Operator,
    /// A worker that authenticates with the installation's worker key.
    Worker,
    /// A tenant's API key.
    Key(ApiKeyId),
    /// The service itself: background work or a command.
    System,
}

impl Actor {
    /// Kind of actor in the audit trail.
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::Operator => ActorKind::Operator,
            Self::Worker => ActorKind::Worker,
            Self::Key(_) => ActorKind::ApiKey,
            Self::System => ActorKind::System,
        }
    }

    /// Id of the actor in the audit trail: the API key's id, or else the kind.
    pub fn id(&self) -> String {
        match self {
            Self::Key(id) => id.to_string(),
            other => other.kind().to_string(),
        }
    }
}

/// Origin of a change.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The actor.
    pub actor: Actor,
    /// Id of the request; empty for background work.
    pub request_id: String,
    /// Address of the client; none for background work.
    pub address: Option<IpAddr>,
    /// Whether the tenant is suspended; its workers may then only finish live sessions.
    pub is_suspended: bool,
}

impl Origin {
    /// The origin of changes by the service itself: a job, a webhook or a command.
    pub const fn system() -> Self {
        Self {
            actor: Actor::System,
            request_id: String::new(),
            address: None,
            is_suspended: false,
        }
    }

    /// Rejects a request of a suspended tenant's worker unless the session is live.
    pub fn require_live_if_suspended(&self, is_live: bool) -> Result<()> {
        if self.is_suspended && !is_live {
            return Err(Error::tenant_suspended());
        }
        Ok(())
    }
}
