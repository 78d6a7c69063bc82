//! Updates a session on behalf of its job.

use patchbay_domain::session::{Step, next_step};
use patchbay_persistence::sessions::Session;

use super::aggregate::SessionAggregate;
use crate::{Result, Service, UnitOfWork, jobs::error::JobError};

/// Whether the step is still the next one now that the aggregate is locked: a request or a webhook may have
/// changed the session in the meantime.
pub fn is_still_due(service: &Service, aggregate: &SessionAggregate, step: &Step) -> bool {
    next_step(&aggregate.view(), &service.timings, service.clock.now()) == *step
}

/// Loads the session if the step is still due, applies `work`, which may read more, and stores it.
pub async fn update_if_due(
    service: &Service,
    session: &Session,
    step: &Step,
    work: impl AsyncFnOnce(&mut UnitOfWork, &mut SessionAggregate) -> Result<()>,
) -> std::result::Result<(), JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    let aggregate = SessionAggregate::load(&mut unit, session.id).await?;
    let is_due = |aggregate: &SessionAggregate| is_still_due(service, aggregate, step);
    if let Some(mut aggregate) = aggregate.filter(is_due) {
        work(&mut unit, &mut aggregate).await?;
        aggregate.save(&mut unit).await?;
        unit.commit().await?;
    }
    Ok(())
}

/// Loads the session, applies `work` and stores it. Does nothing if the session no longer exists.
pub async fn update(
    service: &Service,
    session: &Session,
    work: impl FnOnce(&mut SessionAggregate),
) -> std::result::Result<(), JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    if let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? {
        work(&mut aggregate);
        aggregate.save(&mut unit).await?;
        unit.commit().await?;
    }
    Ok(())
}
