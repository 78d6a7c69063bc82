//! Sync state of trunks and mappings in LiveKit. A lookup table: LiveKit's ids and the sweep have no tenant.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use patchbay_domain::{
    TenantId,
    states::{SipObjectKind, SyncState},
};
use uuid::Uuid;

use crate::{Result, prepared::Prepare as _, schema::sip_objects};

/// Sync state of one resource.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = sip_objects, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "columns")]
pub struct SipObject {
    pub id: Uuid,
    pub tenant_id: TenantId,
    pub kind: SipObjectKind,
    pub trunk_sid: Option<String>,
    pub rule_sid: Option<String>,
    pub sync_state: SyncState,
    pub error: Option<String>,
    pub attempts: i32,
    pub synced_at: Option<DateTime<Utc>>,
    pub revision: i64,
    /// Name that the objects in LiveKit were given by the last sync.
    pub synced_name: Option<String>,
}

/// Outcome of a sync. LiveKit's ids are stored in any case, the rest only if nothing has changed meanwhile.
#[derive(Debug)]
pub struct Outcome {
    /// LiveKit's id of the trunk.
    pub trunk_sid: Option<String>,
    /// LiveKit's id of the dispatch rule.
    pub rule_sid: Option<String>,
    /// Name of both.
    pub name: Option<String>,
    /// Why the sync failed; `None` if LiveKit has the revision that was read.
    pub error: Option<String>,
}

impl SipObject {
    /// Whether a change is about to be synced.
    pub fn is_pending(&self) -> bool {
        self.sync_state == SyncState::Pending
    }
}

/// Marks a resource for a sync; the ids of its LiveKit objects are kept.
pub async fn mark_pending(
    connection: &mut AsyncPgConnection,
    (id, tenant_id): (Uuid, TenantId),
    kind: SipObjectKind,
) -> Result<SipObject> {
    Ok(diesel::insert_into(sip_objects::table)
        .values((
            sip_objects::id.eq(id),
            sip_objects::tenant_id.eq(tenant_id),
            sip_objects::kind.eq(kind),
            sip_objects::sync_state.eq(SyncState::Pending),
            sip_objects::attempts.eq(0),
        ))
        .on_conflict(sip_objects::id)
        .do_update()
        .set((
            sip_objects::sync_state.eq(SyncState::Pending),
            sip_objects::error.eq(None::<String>),
            sip_objects::attempts.eq(0),
            sip_objects::revision.eq(sip_objects::revision + 1),
        ))
        .returning(SipObject::as_returning())
        .prepared()
        .get_result(connection)
        .await?)
}

/// Finds the sync state of a resource.
pub async fn find(connection: &mut AsyncPgConnection, id: Uuid) -> Result<Option<SipObject>> {
    Ok(sip_objects::table
        .find(id)
        .select(SipObject::as_select())
        .first(connection)
        .await
        .optional()?)
}

/// The mapping of a LiveKit dispatch rule.
pub async fn of_rule(
    connection: &mut AsyncPgConnection,
    rule_sid: &str,
) -> Result<Option<SipObject>> {
    Ok(sip_objects::table
        .filter(sip_objects::rule_sid.eq(rule_sid))
        .select(SipObject::as_select())
        .first(connection)
        .await
        .optional()?)
}

/// Up to 500 after this id, in order. For the sweep.
pub async fn page_after(connection: &mut AsyncPgConnection, after: Uuid) -> Result<Vec<SipObject>> {
    Ok(sip_objects::table
        .filter(sip_objects::id.gt(after))
        .order(sip_objects::id)
        .limit(500)
        .select(SipObject::as_select())
        .load(connection)
        .await?)
}

/// Stores the outcome of a sync of `read`. If the resource has changed since it was read, it stays pending.
pub async fn record(
    connection: &mut AsyncPgConnection,
    read: &SipObject,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> Result<()> {
    let there = (
        sip_objects::trunk_sid.eq(&outcome.trunk_sid),
        sip_objects::rule_sid.eq(&outcome.rule_sid),
        sip_objects::synced_name.eq(&outcome.name),
    );
    let (state, synced_at) = match outcome.error {
        None => (SyncState::Synced, Some(now)),
        Some(_) => (SyncState::Failed, read.synced_at),
    };
    let unchanged = sip_objects::table
        .find(read.id)
        .filter(sip_objects::revision.eq(read.revision));
    let recorded = diesel::update(unchanged)
        .set((
            there,
            sip_objects::sync_state.eq(state),
            sip_objects::error.eq(&outcome.error),
            sip_objects::attempts.eq(sip_objects::attempts + 1),
            sip_objects::synced_at.eq(synced_at),
        ))
        .prepared()
        .execute(connection)
        .await?;
    if recorded == 0 {
        diesel::update(sip_objects::table.find(read.id))
            .set(there)
            .prepared()
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Deletes the sync state of a resource that is deleted here and in LiveKit.
pub async fn delete_record(connection: &mut AsyncPgConnection, id: Uuid) -> Result<()> {
    diesel::delete(sip_objects::table.find(id))
        .execute(connection)
        .await?;
    Ok(())
}
