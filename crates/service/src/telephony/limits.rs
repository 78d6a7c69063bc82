//! What a tenant's telephone may do: how many calls, how long, and to whom.

use chrono::TimeDelta;
use patchbay_domain::limits::{CallLimits, TenantLimits};
use patchbay_persistence::{TenantTx, calls, tenants};

use crate::{Code, Error, Result, Service, stored};

/// The limits of a tenant, and those of its calls, in which the installation's stand where it has none.
pub async fn limits_of(service: &Service, tx: &mut TenantTx) -> Result<(TenantLimits, CallLimits)> {
    let tenant = tenants::find(tx).await?;
    let tenant = tenant.ok_or_else(Error::not_found)?;
    let limits = stored::limits(tenant.id, tenant.limits)?;
    let of_calls = limits.call_limits(service.settings.call_limits);
    Ok((limits, of_calls))
}

/// Longest time of a call under these limits, in seconds.
pub fn longest_call(limits: &CallLimits) -> u32 {
    match limits.seconds {
        0 => u32::MAX / 4,
        seconds => seconds,
    }
}

/// Refuses one more call where there are too many. Whoever asks holds the answer until its transaction
/// ends.
pub async fn require_capacity(
    service: &Service,
    tx: &mut TenantTx,
) -> Result<(TenantLimits, CallLimits)> {
    let (limits, of_calls) = limits_of(service, tx).await?;
    let now = service.clock.now();
    let (live, recent) = calls::occupancy(tx, now, now - TimeDelta::minutes(1)).await?;
    let reached = |limit: u32, count: i64| limit != 0 && count >= i64::from(limit);
    if reached(of_calls.concurrent, live) {
        let most = of_calls.concurrent;
        let detail = format!("`concurrent_calls`: {most} at a time are allowed.");
        return Err(Error::too_many(Code::CallLimitReached, detail, 10));
    }
    if reached(of_calls.per_minute, recent) {
        let detail = format!("`calls_per_minute`: {} are allowed.", of_calls.per_minute);
        return Err(Error::too_many(Code::CallLimitReached, detail, 60));
    }
    Ok((limits, of_calls))
}
