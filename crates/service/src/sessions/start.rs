//! Starts a session: the request is recorded here, and the session's job executes it.

use chrono::TimeDelta;
use patchbay_domain::session::{SessionState, Timings};
use patchbay_persistence::{TenantTx, sessions, tenants};

use super::{aggregate::SessionAggregate, runs::add_run};
use crate::{Code, Error, Result, Service, jobs::queue, stored, telephony::calls};

/// Rejects another live session if the tenant's limit is reached. The count stays valid until the transaction
/// ends.
pub async fn require_capacity(service: &Service, tx: &mut TenantTx) -> Result<()> {
    let tenant = tenants::find(tx).await?;
    let tenant = tenant.ok_or_else(Error::not_found)?;
    let limit = stored::limits(tenant.id, tenant.limits)?.sessions(service.settings.session_limit);
    if limit == 0 {
        return Ok(());
    }
    let Timings {
        start_deadline,
        join_deadline,
        ..
    } = service.timings;
    let oldest_start =
        service.clock.now() - start_deadline - join_deadline * 2 - TimeDelta::minutes(2);
    if sessions::count_live(tx, oldest_start).await? >= i64::from(limit) {
        let detail = format!("`concurrent_sessions`: {limit} live sessions are allowed at a time.");
        return Err(Error::too_many(Code::SessionLimitReached, detail, 10));
    }
    Ok(())
}

/// Starts a session: enters `starting`, adds the first run and the primary call, and enqueues the job. Does
/// nothing if the session has already been started.
pub async fn start(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
) -> Result<()> {
    match aggregate.session.state {
        SessionState::Created => {}
        SessionState::Starting | SessionState::Running => return Ok(()),
        _ => {
            return Err(Error::new(
                Code::SessionOver,
                "The session is stopping or over and cannot be started.",
            ));
        }
    }
    require_capacity(service, tx).await?;
    calls::start_primary(service, tx, aggregate).await?;
    aggregate.enter(SessionState::Starting, None);
    add_run(service, aggregate, (1, None));
    queue::enqueue_session(service, tx, aggregate.session.id).await
}
