//! Events to be appended to a session's timeline.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    Clock, SessionId,
    timeline::{EventKind, Facts},
};
use patchbay_persistence::{TenantTx, timeline};

use crate::{Error, Result};

/// Timeline events of one session that have not been stored yet.
pub struct Timeline {
    session: SessionId,
    events: Vec<(DateTime<Utc>, EventKind, Facts)>,
}

impl Timeline {
    /// Creates an empty timeline.
    pub const fn new(session: SessionId) -> Self {
        Self {
            session,
            events: Vec::new(),
        }
    }

    /// Creates a timeline with one event.
    pub fn one(session: SessionId, at: DateTime<Utc>, kind: EventKind, facts: Facts) -> Self {
        let mut timeline = Self::new(session);
        timeline.add(at, kind, facts);
        timeline
    }

    /// Adds an event.
    pub fn add(&mut self, at: DateTime<Utc>, kind: EventKind, facts: Facts) {
        self.events.push((at, kind, facts));
    }

    /// Appends the events, ordered by time.
    pub(crate) async fn write(mut self, tx: &mut TenantTx, clock: &Clock) -> Result<()> {
        self.events.sort_by_key(|(at, ..)| *at);
        let mut rows = Vec::with_capacity(self.events.len());
        for (at, kind, facts) in self.events {
            rows.push(timeline::SessionEvent {
                tenant_id: tx.tenant(),
                id: clock.new_id(),
                session_id: self.session,
                at,
                kind: kind.as_str().to_owned(),
                facts: serde_json::to_value(facts).map_err(Error::internal)?,
            });
        }
        Ok(timeline::append(tx, self.session, rows).await?)
    }
}
