//! SIP trunks: a tenant's accounts with carriers.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{TenantId, TrunkId, sip::Transport};

use crate::{
    Result, Rows, TenantTx, Window,
    prepared::Prepare as _,
    schema::{sip_objects, sip_trunks},
    sip_objects::SipObject,
};

/// One trunk. Its password is a secret that it owns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = sip_trunks, check_for_backend(diesel::pg::Pg))]
#[diesel(
    treat_none_as_default_value = false,
    treat_none_as_null = true,
    primary_key(tenant_id, id)
)]
#[expect(missing_docs, reason = "columns")]
pub struct SipTrunk {
    pub tenant_id: TenantId,
    pub id: TrunkId,
    pub name: String,
    pub address: String,
    pub transport: Transport,
    pub numbers: Vec<String>,
    pub username: Option<String>,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Inserts a trunk. A taken name is the unique violation `sip_trunks_name_key`.
pub async fn insert(tx: &mut TenantTx, trunk: &SipTrunk) -> Result<()> {
    diesel::insert_into(sip_trunks::table)
        .values(trunk)
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds a trunk with its sync state.
pub async fn find(tx: &mut TenantTx, id: TrunkId) -> Result<Option<(SipTrunk, SipObject)>> {
    Ok(sip_trunks::table
        .inner_join(sip_objects::table.on(sip_objects::id.eq(sip_trunks::id)))
        .filter(sip_trunks::tenant_id.eq(tx.tenant()))
        .filter(sip_trunks::id.eq(id))
        .select((SipTrunk::as_select(), SipObject::as_select()))
        .first(tx)
        .await
        .optional()?)
}

/// Finds a trunk with its sync state, both rows locked.
pub async fn lock(tx: &mut TenantTx, id: TrunkId) -> Result<Option<(SipTrunk, SipObject)>> {
    Ok(sip_trunks::table
        .inner_join(sip_objects::table.on(sip_objects::id.eq(sip_trunks::id)))
        .filter(sip_trunks::tenant_id.eq(tx.tenant()))
        .filter(sip_trunks::id.eq(id))
        .select((SipTrunk::as_select(), SipObject::as_select()))
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// A page of trunks, filtered by number if one is given.
pub async fn list(
    tx: &mut TenantTx,
    window: Window,
    number: Option<String>,
) -> Result<Rows<(SipTrunk, SipObject)>> {
    let mut query = sip_trunks::table
        .inner_join(sip_objects::table.on(sip_objects::id.eq(sip_trunks::id)))
        .filter(sip_trunks::tenant_id.eq(tx.tenant()))
        .filter(sip_trunks::id.lt(window.below()))
        .order(sip_trunks::id.desc())
        .limit(window.fetch())
        .select((SipTrunk::as_select(), SipObject::as_select()))
        .into_boxed();
    if let Some(number) = number {
        query = query.filter(sip_trunks::numbers.contains(vec![number]));
    }
    Ok(window.cut(query.load(tx).await?))
}

/// Stores the mutable columns of a trunk.
pub async fn update(tx: &mut TenantTx, trunk: &SipTrunk) -> Result<()> {
    diesel::update(sip_trunks::table.find((tx.tenant(), trunk.id)))
        .set(trunk)
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a trunk.
pub async fn delete(tx: &mut TenantTx, id: TrunkId) -> Result<()> {
    diesel::delete(sip_trunks::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}
