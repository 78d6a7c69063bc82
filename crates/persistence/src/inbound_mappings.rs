//! Inbound mappings: how calls to a tenant's numbers are handled.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{AgentId, MappingId, RawJson, TenantId};
use serde_json::Value;

use crate::{
    Result, Rows, TenantTx, Window,
    prepared::Prepare as _,
    schema::{inbound_mappings as mappings, sip_objects},
    sip_objects::SipObject,
};

/// One mapping. Its password is a secret that it owns.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = mappings, check_for_backend(diesel::pg::Pg))]
#[diesel(
    treat_none_as_default_value = false,
    treat_none_as_null = true,
    primary_key(tenant_id, id)
)]
#[expect(missing_docs, reason = "columns")]
pub struct Mapping {
    pub tenant_id: TenantId,
    pub id: MappingId,
    pub number: String,
    pub agent_id: AgentId,
    pub closed_agent_id: Option<AgentId>,
    pub worker_name: String,
    pub variables: RawJson,
    pub allowed_addresses: Vec<String>,
    pub username: Option<String>,
    pub enabled: bool,
    pub hours: Option<Value>,
    pub headers: Vec<String>,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Filter of mappings.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub number: Option<String>,
    pub agent_id: Option<AgentId>,
    pub enabled: Option<bool>,
}

/// Inserts a mapping. A number with a mapping is the unique violation `inbound_mappings_number_key`.
pub async fn insert(tx: &mut TenantTx, mapping: &Mapping) -> Result<()> {
    diesel::insert_into(mappings::table)
        .values(mapping)
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds a mapping with its sync state.
pub async fn find(tx: &mut TenantTx, id: MappingId) -> Result<Option<(Mapping, SipObject)>> {
    Ok(mappings::table
        .inner_join(sip_objects::table.on(sip_objects::id.eq(mappings::id)))
        .filter(mappings::tenant_id.eq(tx.tenant()))
        .filter(mappings::id.eq(id))
        .select((Mapping::as_select(), SipObject::as_select()))
        .first(tx)
        .await
        .optional()?)
}

/// Finds a mapping with its sync state, both rows locked.
pub async fn lock(tx: &mut TenantTx, id: MappingId) -> Result<Option<(Mapping, SipObject)>> {
    Ok(mappings::table
        .inner_join(sip_objects::table.on(sip_objects::id.eq(mappings::id)))
        .filter(mappings::tenant_id.eq(tx.tenant()))
        .filter(mappings::id.eq(id))
        .select((Mapping::as_select(), SipObject::as_select()))
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// The mapping of a number.
pub async fn of_number(tx: &mut TenantTx, number: &str) -> Result<Option<Mapping>> {
    Ok(mappings::table
        .filter(mappings::tenant_id.eq(tx.tenant()))
        .filter(mappings::number.eq(number))
        .select(Mapping::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// The mappings that refer to this agent, each with its number; 20 at most.
pub async fn naming(tx: &mut TenantTx, agent: AgentId) -> Result<Vec<(MappingId, String)>> {
    Ok(mappings::table
        .filter(mappings::tenant_id.eq(tx.tenant()))
        .filter(
            mappings::agent_id
                .eq(agent)
                .or(mappings::closed_agent_id.is_not_distinct_from(agent)),
        )
        .limit(20)
        .select((mappings::id, mappings::number))
        .load(tx)
        .await?)
}

/// A page of mappings.
pub async fn list(
    tx: &mut TenantTx,
    window: Window,
    filter: Filter,
) -> Result<Rows<(Mapping, SipObject)>> {
    let mut query = mappings::table
        .inner_join(sip_objects::table.on(sip_objects::id.eq(mappings::id)))
        .filter(mappings::tenant_id.eq(tx.tenant()))
        .filter(mappings::id.lt(window.below()))
        .order(mappings::id.desc())
        .limit(window.fetch())
        .select((Mapping::as_select(), SipObject::as_select()))
        .into_boxed();
    if let Some(number) = filter.number {
        query = query.filter(mappings::number.eq(number));
    }
    if let Some(agent) = filter.agent_id {
        query = query.filter(mappings::agent_id.eq(agent));
    }
    if let Some(enabled) = filter.enabled {
        query = query.filter(mappings::enabled.eq(enabled));
    }
    Ok(window.cut(query.load(tx).await?))
}

/// Stores the mutable columns of a mapping.
pub async fn update(tx: &mut TenantTx, mapping: &Mapping) -> Result<()> {
    diesel::update(mappings::table.find((tx.tenant(), mapping.id)))
        .set(mapping)
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a mapping.
pub async fn delete(tx: &mut TenantTx, id: MappingId) -> Result<()> {
    diesel::delete(mappings::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}
