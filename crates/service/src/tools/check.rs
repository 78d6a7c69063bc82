//! What may be called: arguments that the schema allows, an address that is allowed, secrets that may be
//! sent there.

use patchbay_domain::{
    Invalid, Violation,
    tool::{Destination, Kind, ToolSpec},
};
use patchbay_persistence::{TenantTx, secrets};
use serde_json::{Map, Value};

use crate::{Code, Error, Result, Service, compute::Turn};

/// A tool, and arguments that its schema allows.
pub struct Checked {
    /// The tool.
    pub spec: ToolSpec,
    /// Where it calls.
    pub destination: Option<Destination>,
    /// The arguments.
    pub arguments: Value,
}

/// Checks where a version would call, and that its secrets may go there; answers them, sealed.
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
    if let Err(refused) = service.policy.check_url(url.as_str()) {
        let invalid = Invalid::new("address_refused", refused.to_string());
        return Ok(Err(invalid.at(pointer)));
    }
    if names.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let known = secrets::find_named(tx, names).await?;
    let host = url.host_str().unwrap_or_default();
    let fault = |name: &String| match known.iter().find(|secret| secret.name == *name) {
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
    let fault = names.iter().find_map(fault);
    Ok(fault.map_or(Ok(known), |invalid| Err(invalid.at(pointer))))
}

/// Checks arguments, away from the threads that serve requests.
pub async fn check_arguments(
    turn: &Turn,
    spec: ToolSpec,
    arguments: Map<String, Value>,
) -> Result<Checked> {
    if let Kind::Client(_) = spec.kind()? {
        let detail = "It is carried out by the client of somebody in the room.";
        return Err(Error::new(Code::ToolNotCallable, detail));
    }
    let work = move |_| {
        let arguments = Value::Object(arguments);
        let checked = spec.check_arguments(&arguments);
        checked.map_err(|found| Error::invalid_within("/arguments", found))?;
        let destination = spec.destination();
        Ok(Checked {
            spec,
            destination,
            arguments,
        })
    };
    turn.run(work).await?
}
