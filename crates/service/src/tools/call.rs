//! Tool calls on a worker's behalf, so that secrets never leave this process.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use patchbay_domain::{Invalid, TenantId, tool::CallIds};
use patchbay_outbound::Error as OutboundError;
use patchbay_persistence::{TenantTx, secrets};
use tokio::time::Instant;

use super::{
    check::{CheckedCall, check_destination},
    masking::Secrets,
    outcome::Outcome,
    render::{Call, ToolRequest, mcp_outcome},
};
use crate::{Result, Service, faults::crash_here, instruments::record_tool_call, keyring::Sealed};

/// A tool call with its opened secrets, ready to be executed.
pub struct PreparedCall {
    tenant: TenantId,
    call: Arc<Call>,
    secrets: std::result::Result<BTreeMap<String, String>, Invalid>,
}

impl PreparedCall {
    /// Opens the secrets of the call. A secret that was deleted, or that may no longer be sent to the host, fails
    /// the call, not the request.
    pub async fn new(
        service: &Service,
        tx: &mut TenantTx,
        checked: CheckedCall,
        ids: CallIds,
    ) -> Result<Self> {
        let CheckedCall {
            spec,
            destination,
            arguments,
        } = checked;
        let secrets = match check_destination(service, tx, destination.as_ref()).await? {
            Ok(sealed) => Ok(open_secrets(service, sealed)?),
            Err(violation) => Err(Invalid::new(&violation.code, violation.message)),
        };
        let call = Call {
            spec,
            arguments,
            ids,
        };
        Ok(Self {
            tenant: tx.tenant(),
            call: Arc::new(call),
            secrets,
        })
    }

    /// Maximum duration of the call.
    pub fn timeout(&self) -> Duration {
        self.call.timeout()
    }

    /// Executes the call. Failures of any kind are in the outcome.
    pub async fn execute(&self, service: &Service) -> Outcome {
        let started = Instant::now();
        crash_here(service, "in_tool_call");
        let result = match &self.secrets {
            Ok(secrets) => self.send(service, secrets.clone()).await,
            Err(error) => Err(error.clone()),
        };
        let mut outcome = result.unwrap_or_else(Outcome::failed);
        outcome.duration = started.elapsed();
        let word = outcome
            .error
            .as_ref()
            .map_or("succeeded", |error| &error.code);
        record_tool_call(self.call.kind(), word.to_owned(), outcome.duration);
        outcome
    }

    async fn send(
        &self,
        service: &Service,
        secrets: BTreeMap<String, String>,
    ) -> std::result::Result<Outcome, Invalid> {
        let call = Arc::clone(&self.call);
        let request = self.compute(service, move |deadline| {
            let secrets = Secrets::new(secrets)?;
            Ok((call.render(&secrets, deadline)?, Arc::new(secrets)))
        });
        let (mut request, secrets) = request.await?;
        request.continue_trace();
        let (call, masked) = (Arc::clone(&self.call), Arc::clone(&secrets));
        let failed = |error| secrets.mask_error(request_error(error));
        match request {
            ToolRequest::Http(request) => {
                let response = service.outbound.call(request).await.map_err(failed)?;
                self.compute(service, move |_| call.http_outcome(response, &masked))
                    .await
            }
            ToolRequest::Mcp(request) => {
                let response = service.outbound.call_mcp(request).await.map_err(failed)?;
                self.compute(service, move |_| mcp_outcome(response, &masked))
                    .await
            }
        }
    }

    async fn compute<T: Send + 'static>(
        &self,
        service: &Service,
        work: impl FnOnce(std::time::Instant) -> std::result::Result<T, Invalid> + Send + 'static,
    ) -> std::result::Result<T, Invalid> {
        let result = service.compute.run(Some(self.tenant), work).await;
        result.map_err(|error| Invalid::new("overloaded", error.to_string()))?
    }
}

fn open_secrets(
    service: &Service,
    sealed: Vec<secrets::Secret>,
) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for secret in sealed {
        let sealed = Sealed {
            key: secret.sealing_key,
            nonce: secret.nonce,
            sealed: secret.sealed,
        };
        let value = service
            .keyring
            .open(secret.tenant_id, &secret.name, &sealed)?;
        values.insert(secret.name, value);
    }
    Ok(values)
}

/// Maps a failed request to an error code for the worker.
fn request_error(error: OutboundError) -> Invalid {
    let code = match &error {
        OutboundError::Refused(_) => "address_refused",
        OutboundError::Timeout(_) => "timeout",
        OutboundError::TooLarge(_) => "answer_too_large",
        OutboundError::Failed(_) => "unreachable",
        OutboundError::TooManyRedirects | OutboundError::ForeignRedirect => "redirect_refused",
        OutboundError::Encoded(_) => "answer_encoded",
        OutboundError::Mcp(_) => "mcp_error",
    };
    Invalid::new(code, error.to_string())
}
