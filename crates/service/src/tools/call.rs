//! Calling tools on a worker's behalf, so that secrets never leave this process.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use patchbay_domain::{Invalid, TenantId, tool::CallIds};
use patchbay_outbound::Error as OutboundError;
use patchbay_persistence::{TenantTx, secrets};
use tokio::time::Instant;

use super::{
    check::{Checked, check_destination},
    masking::Secrets,
    outcome::Outcome,
    render::{Call, Ready, conclude_mcp},
};
use crate::{Result, Service, faults::crash_here, keyring::Sealed};

/// A call with everything that it takes.
pub struct Prepared {
    tenant: TenantId,
    call: Arc<Call>,
    secrets: std::result::Result<BTreeMap<String, String>, Invalid>,
}

impl Prepared {
    /// Opens the secrets that the call needs. One that has gone, or may no longer go there, is an
    /// outcome, not an error of the request.
    pub async fn new(
        service: &Service,
        tx: &mut TenantTx,
        checked: Checked,
        ids: CallIds,
    ) -> Result<Self> {
        let Checked {
            spec,
            destination,
            arguments,
        } = checked;
        let secrets = match check_destination(service, tx, destination.as_ref()).await? {
            Ok(sealed) => Ok(open(service, sealed)?),
            Err(fault) => Err(Invalid::new(&fault.code, fault.message)),
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

    /// Most time that the call may take.
    pub fn timeout(&self) -> Duration {
        self.call.timeout()
    }

    /// Makes the call.
    pub async fn carry_out(&self, service: &Service) -> Outcome {
        let started = Instant::now();
        crash_here(service, "in_tool_call");
        let attempt = match &self.secrets {
            Ok(secrets) => self.attempt(service, secrets.clone()).await,
            Err(error) => Err(error.clone()),
        };
        let mut outcome = attempt.unwrap_or_else(Outcome::failed);
        outcome.duration = started.elapsed();
        outcome
    }

    async fn attempt(
        &self,
        service: &Service,
        secrets: BTreeMap<String, String>,
    ) -> std::result::Result<Outcome, Invalid> {
        let call = Arc::clone(&self.call);
        let ready = self.compute(service, move |deadline| {
            let secrets = Secrets::new(secrets)?;
            Ok((call.ready(&secrets, deadline)?, Arc::new(secrets)))
        });
        let (ready, secrets) = ready.await?;
        let (call, known) = (Arc::clone(&self.call), Arc::clone(&secrets));
        let failed = |error| secrets.hide_in(failure(error));
        match ready {
            Ready::Http(request) => {
                let answer = service.outbound.call(request).await.map_err(failed)?;
                self.compute(service, move |_| call.conclude(answer, &known))
                    .await
            }
            Ready::Mcp(request) => {
                let answer = service.outbound.call_mcp(request).await.map_err(failed)?;
                self.compute(service, move |_| conclude_mcp(answer, &known))
                    .await
            }
        }
    }

    async fn compute<T: Send + 'static>(
        &self,
        service: &Service,
        work: impl FnOnce(std::time::Instant) -> std::result::Result<T, Invalid> + Send + 'static,
    ) -> std::result::Result<T, Invalid> {
        let worked = service.compute.run(Some(self.tenant), work).await;
        worked.map_err(|error| Invalid::new("overloaded", error.to_string()))?
    }
}

fn open(service: &Service, sealed: Vec<secrets::Secret>) -> Result<BTreeMap<String, String>> {
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

/// Why there is no answer, as a code for the worker.
fn failure(error: OutboundError) -> Invalid {
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
