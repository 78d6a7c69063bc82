//! The one way in which anything is changed: a tenant's transaction that knows who acts, so that what
//! happens in it is written into the audit trail and onto timelines with it.

use std::ops::{Deref, DerefMut};

use patchbay_domain::{Clock, TenantId};
use patchbay_persistence::TenantTx;

use crate::{
    Origin, Result, Service,
    audit::{self, Change, Event},
    timeline::Timeline,
};

/// A transaction of one tenant, with its audit events and timeline. Persistence functions take it as the
/// [`TenantTx`] that it is. Dropped without [`UnitOfWork::commit`], it rolls back.
pub struct UnitOfWork {
    tx: TenantTx,
    clock: Clock,
    origin: Origin,
}

impl Service {
    /// Begins a unit of work that comes from `origin`.
    pub async fn unit_of_work(&self, tenant: TenantId, origin: &Origin) -> Result<UnitOfWork> {
        Ok(UnitOfWork {
            tx: self.db.begin(tenant).await?,
            clock: self.clock.clone(),
            origin: origin.clone(),
        })
    }

    /// The same for the service itself.
    pub async fn system_work(&self, tenant: TenantId) -> Result<UnitOfWork> {
        self.unit_of_work(tenant, &Origin::system()).await
    }

    /// Makes a change: `work` and its audit events in one transaction.
    pub async fn change<T>(
        &self,
        tenant: TenantId,
        origin: &Origin,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<T> {
        let mut unit = self.unit_of_work(tenant, origin).await?;
        let value = unit.apply(work).await?;
        unit.commit().await?;
        Ok(value)
    }
}

impl UnitOfWork {
    /// Does `work`, and writes down what it did.
    pub async fn apply<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<Change<T>>,
    ) -> Result<T> {
        let Change { value, events } = work(self).await?;
        for event in events {
            self.audit(event).await?;
        }
        Ok(value)
    }

    /// Time and ids.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where it comes from.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Writes an event into the audit trail.
    pub async fn audit(&mut self, event: Event) -> Result<()> {
        audit::write(&mut self.tx, &self.clock, &self.origin, event).await
    }

    /// Writes a session's events onto its timeline.
    pub async fn append(&mut self, timeline: Timeline) -> Result<()> {
        timeline.write(&mut self.tx, &self.clock).await
    }

    /// Makes all of it durable.
    pub async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }

    /// Keeps nothing, and returns when the locks are free for whoever asks next.
    pub async fn roll_back(self) {
        self.tx.roll_back().await;
    }

    /// Ends one that only read, without waiting.
    pub fn finish(self) {
        self.tx.finish();
    }
}

impl Deref for UnitOfWork {
    type Target = TenantTx;
    fn deref(&self) -> &TenantTx {
        &self.tx
    }
}

impl DerefMut for UnitOfWork {
    fn deref_mut(&mut self) -> &mut TenantTx {
        &mut self.tx
    }
}
