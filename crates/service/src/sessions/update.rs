//! Changing what is recorded of a session on behalf of its job.

use patchbay_domain::session::{Step, next_step};
use patchbay_persistence::sessions::Session;

use super::aggregate::SessionAggregate;
use crate::{Service, jobs::error::JobError};

/// Whether the step is still the one to take, now that the aggregate is locked: a request or a webhook
/// may have come between.
pub fn is_still_due(service: &Service, aggregate: &SessionAggregate, step: &Step) -> bool {
    next_step(&aggregate.view(), &service.timings, service.clock.now()) == *step
}

/// Loads the session, if it is still there, lets `work` change it, and stores it.
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
