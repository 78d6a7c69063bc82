//! Starting a session: what is wanted is recorded here, and the session's job does the rest.

use chrono::TimeDelta;
use patchbay_domain::session::{SessionState, Timings};
use patchbay_persistence::{TenantTx, sessions, tenants};

use super::{aggregate::SessionAggregate, runs::add_run};
use crate::{Code, Error, Result, Service, jobs::queue, stored, telephony::calls};

/// Whether the tenant may have one more live session now. Whoever asks holds the answer until its
/// transaction ends.
pub async fn require_capacity(service: &Service, tx: &mut TenantTx) -> Result<()> {
    let tenant = tenants::find(tx).await?;
    let tenant = tenant.ok_or_else(Error::not_found)?;
    let most = stored::limits(tenant.id, tenant.limits)?.sessions(service.settings.session_limit);
    if most == 0 {
        return Ok(());
    }
    let Timings {
        start_deadline,
        join_deadline,
        ..
    } = service.timings;
    let late = service.clock.now() - start_deadline - join_deadline * 2 - TimeDelta::minutes(2);
    if sessions::count_live(tx, late).await? >= i64::from(most) {
        let detail = format!("`concurrent_sessions`: {most} at a time are allowed.");
        return Err(Error::too_many(Code::SessionLimitReached, detail, 10));
    }
    Ok(())
}

/// Asks for the start: `created → starting`, the first run, the call it was made for, and the job. A second start finds it
/// done.
pub async fn start(
    service: &Service,
    tx: &mut TenantTx,
    aggregate: &mut SessionAggregate,
) -> Result<()> {
    match aggregate.session.state {
        SessionState::Created => {}
        SessionState::Starting | SessionState::Running => return Ok(()),
        _ => return Err(Error::new(Code::SessionOver, "A session starts once.")),
    }
    require_capacity(service, tx).await?;
    calls::start_primary(service, tx, aggregate).await?;
    aggregate.enter(SessionState::Starting, None);
    add_run(service, tx, aggregate, (1, None)).await?;
    queue::session(service, tx, aggregate.session.id).await
}
