//! The unit of work, through which all changes are made: a tenant's transaction that knows the origin of the
//! change, so that audit and timeline events are written with it.

use std::ops::{Deref, DerefMut};

use patchbay_domain::{Clock, TenantId};
use patchbay_persistence::{TenantTx, audit};

use crate::{
    Origin, Result, Service,
    audit::{Change, Event},
    measurement::Measurement,
    timeline::Timeline,
};

/// A transaction of one tenant that also writes audit and timeline events. It dereferences to the [`TenantTx`]
/// that persistence functions take. It rolls back if it is dropped without being committed.
pub struct UnitOfWork {
    tx: TenantTx,
    clock: Clock,
    origin: Origin,
    measurements: Vec<Measurement>,
}

impl Service {
    /// Begins a unit of work on behalf of `origin`.
    pub async fn unit_of_work(&self, tenant: TenantId, origin: &Origin) -> Result<UnitOfWork> {
        Ok(UnitOfWork {
            tx: self.db.begin(tenant).await?,
            clock: self.clock.clone(),
            origin: origin.clone(),
            measurements: Vec::new(),
        })
    }

    /// Begins a unit of work on behalf of the service itself.
    pub async fn system_work(&self, tenant: TenantId) -> Result<UnitOfWork> {
        self.unit_of_work(tenant, &Origin::system()).await
    }

    /// Runs `work` and writes its audit events, in one transaction.
    pub async fn change<T>(
        &self,
        tenant: TenantId,
        origin: &Origin,
        work: impl AsyncFnOnce(&mut UnitOfWork) -> Result<Change<T>>,
    ) -> Result<T> {
        let mut unit = self.unit_of_work(tenant, origin).await?;
        let Change { value, mut events } = work(&mut unit).await?;
        let last = events.pop();
        for event in events {
            unit.audit(event).await?;
        }
        match last {
            Some(event) => unit.commit_with(event).await?,
            None => unit.commit().await?,
        }
        Ok(value)
    }
}

impl UnitOfWork {
    /// Runs `work` and writes its audit events.
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

    /// Source of times and ids.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Origin of the changes.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Writes an audit event.
    pub async fn audit(&mut self, event: Event) -> Result<()> {
        let row = event.row(self.tx.tenant(), &self.clock, &self.origin)?;
        Ok(audit::insert(&mut self.tx, &row).await?)
    }

    /// Appends events to a session's timeline.
    pub async fn append(&mut self, timeline: Timeline) -> Result<()> {
        timeline.write(&mut self.tx, &self.clock).await
    }

    /// Counts these in metrics once the transaction is committed.
    pub fn measure(&mut self, measurements: impl IntoIterator<Item = Measurement>) {
        self.measurements.extend(measurements);
    }

    /// Writes an audit event and commits the transaction.
    async fn commit_with(self, event: Event) -> Result<()> {
        let row = event.row(self.tx.tenant(), &self.clock, &self.origin)?;
        audit::insert_and_commit(self.tx, &row).await?;
        self.measurements.into_iter().for_each(Measurement::record);
        Ok(())
    }

    /// Commits the transaction.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await?;
        self.measurements.into_iter().for_each(Measurement::record);
        Ok(())
    }

    /// Rolls the transaction back, and returns once its locks are released.
    pub async fn roll_back(self) {
        self.tx.roll_back().await;
    }

    /// Ends a read-only transaction without waiting for the database.
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
