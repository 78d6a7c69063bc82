//! Checks of a tool call: arguments against the schema, destination against the address policy, and secrets
//! against their allowed hosts.

use patchbay_domain::{
    Invalid, Violation,
    tool::{Destination, Kind, ToolSpec},
};
use patchbay_persistence::{TenantTx, secrets};
use serde_json::{Map, Value};

use crate::{Code, Error, Result, Service, compute::ComputePermit};

/// A tool with arguments that its schema allows.
pub struct CheckedCall {
    /// The tool.
    pub spec: ToolSpec,
    /// URL and secrets of the call; `None` for a client tool.
    pub destination: Option<Destination>,
    /// The arguments.
    pub arguments: Value,
}

/// Checks the destination of a tool and that its secrets may be sent there. Returns the sealed secrets, or what is
/// wrong with the destination.
pub async fn check_destination(
    service: &Service,
    tx: &mut TenantTx,
    destination: Option<&Destination>,
) -> Result<std::result::Result<Vec<secrets::Secret>, Violation>> {
    let Some(Destination {
        url,
        pointer,
        secrets: names,
    }) = destination
    else {
        return Ok(Ok(Vec::new()));
    };
    let pointer = *pointer;
    if let Err(error) = service.policy.check_url(url.as_str()) {
        let invalid = Invalid::new("address_refused", error.to_string());
        return Ok(Err(invalid.at(pointer)));
    }
    if names.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let found = secrets::find_named(tx, names).await?;
    let host = url.host_str().unwrap_or_default();
    let check = |name: &String| match found.iter().find(|secret| secret.name == *name) {
        None => Some(Invalid::new(
            "unknown_secret",
            format!("there is no secret `{name}`"),
        )),
        Some(secret) if secret.hosts.iter().any(|allowed| allowed == host) => None,
        Some(_) => Some(Invalid::new(
            "secret_not_for_host",
            format!("the secret `{name}` may not be sent to `{host}`"),
        )),
    };
    let invalid = names.iter().find_map(check);
    Ok(invalid.map_or(Ok(found), |invalid| Err(invalid.at(pointer))))
}

/// Checks the arguments of a call on the compute threads, so that requests are not blocked.
pub async fn check_arguments(
    permit: &ComputePermit,
    spec: ToolSpec,
    arguments: Map<String, Value>,
) -> Result<CheckedCall> {
    if let Kind::Client(_) = spec.kind()? {
        let detail = "A client tool is called by the client of a participant, not by Patchbay.";
        return Err(Error::new(Code::ToolNotCallable, detail));
    }
    let work = move |_| {
        let arguments = Value::Object(arguments);
        let result = spec.check_arguments(&arguments);
        result.map_err(|found| Error::invalid_within("/arguments", found))?;
        let destination = spec.destination();
        Ok(CheckedCall {
            spec,
            destination,
            arguments,
        })
    };
    permit.run(work).await?
}
