//! Call limits of a tenant: number, duration and destinations of its calls.

use chrono::TimeDelta;
use patchbay_domain::limits::{CallLimits, TenantLimits};
use patchbay_persistence::{TenantTx, calls, tenants};

use crate::{Code, Error, Result, Service, stored};

/// Returns the limits of a tenant, and its call limits with the installation's defaults filled in.
pub async fn limits_of(service: &Service, tx: &mut TenantTx) -> Result<(TenantLimits, CallLimits)> {
    let tenant = tenants::find(tx).await?;
    let tenant = tenant.ok_or_else(Error::not_found)?;
    let limits = stored::limits(tenant.id, tenant.limits)?;
    let of_calls = limits.call_limits(service.settings.call_limits);
    Ok((limits, of_calls))
}

/// Maximum duration of a call in seconds.
pub fn max_call_seconds(limits: &CallLimits) -> u32 {
    match limits.seconds {
        0 => u32::MAX / 4,
        seconds => seconds,
    }
}

/// Refuses a further call if a limit is reached. Checks of the same tenant wait for each other until the end of
/// the transaction.
pub async fn require_capacity(
    service: &Service,
    tx: &mut TenantTx,
) -> Result<(TenantLimits, CallLimits)> {
    let (limits, of_calls) = limits_of(service, tx).await?;
    let now = service.clock.now();
    let (live, recent) = calls::occupancy(tx, now, now - TimeDelta::minutes(1)).await?;
    let reached = |limit: u32, count: i64| limit != 0 && count >= i64::from(limit);
    if reached(of_calls.concurrent, live) {
        let detail = format!(
            "`concurrent_calls`: {} at a time are allowed.",
            of_calls.concurrent
        );
        return Err(Error::too_many(Code::CallLimitReached, detail, 10));
    }
    if reached(of_calls.per_minute, recent) {
        let detail = format!("`calls_per_minute`: {} are allowed.", of_calls.per_minute);
        return Err(Error::too_many(Code::CallLimitReached, detail, 60));
    }
    Ok((limits, of_calls))
}
