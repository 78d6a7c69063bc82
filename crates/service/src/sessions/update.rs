//! Updates a session on behalf of its job.

use patchbay_domain::session::{Step, next_step};
use patchbay_persistence::sessions::Session;

use super::aggregate::SessionAggregate;
use crate::{Service, jobs::error::JobError};

/// Whether the step is still the next one now that the aggregate is locked: a request or a webhook may have
/// changed the session in the meantime.
pub fn is_still_due(service: &Service, aggregate: &SessionAggregate, step: &Step) -> bool {
    next_step(&aggregate.view(), &service.timings, service.clock.now()) == *step
}

/// Loads the session, applies `work` and stores it. Does nothing if the session no longer exists.
pub async fn update(
    service: &Service,
    session: &Session,
    work: impl FnOnce(&mut SessionAggregate),
) -> Result<(), JobError> {
    let mut unit = service.system_work(session.tenant_id).await?;
    if let Some(mut aggregate) = SessionAggregate::load(&mut unit, session.id).await? {
        work(&mut aggregate);
        aggregate.save(&mut unit).await?;
        unit.commit().await?;
    }
    Ok(())
}
