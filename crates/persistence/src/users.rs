//! Users of a tenant.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{Metadata, TenantId, UserId};

use crate::{
    Result, Rows, TenantTx, Window,
    prepared::Prepare as _,
    schema::{audit_events, participants, users},
};

/// One user.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false, primary_key(tenant_id, id))]
#[expect(missing_docs, reason = "columns")]
pub struct User {
    pub tenant_id: TenantId,
    pub id: UserId,
    pub email: String,
    /// The form for uniqueness and filters.
    pub email_lower: String,
    pub display_name: String,
    pub role: Option<String>,
    pub external_id: Option<String>,
    pub metadata: Metadata,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Filter of users.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub email_lower: Option<String>,
    pub role: Option<String>,
    pub external_id: Option<String>,
}

/// Inserts a user. A taken email is the unique violation `users_email_key`, a taken external id
/// `users_external_id_key`.
pub async fn insert(tx: &mut TenantTx, user: &User) -> Result<()> {
    diesel::insert_into(users::table)
        .values(user)
        .execute(tx)
        .await?;
    Ok(())
}

/// Finds a user.
pub async fn find(tx: &mut TenantTx, id: UserId) -> Result<Option<User>> {
    Ok(users::table
        .find((tx.tenant(), id))
        .select(User::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// Finds and locks a user.
pub async fn lock(tx: &mut TenantTx, id: UserId) -> Result<Option<User>> {
    Ok(users::table
        .find((tx.tenant(), id))
        .select(User::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()?)
}

/// Finds a user and locks it against erasure.
pub async fn lock_shared(tx: &mut TenantTx, id: UserId) -> Result<Option<User>> {
    let query = users::table
        .find((tx.tenant(), id))
        .select(User::as_select());
    Ok(query.for_key_share().first(tx).await.optional()?)
}

/// Those of these users that are erased; the others are locked against erasure until this transaction ends.
/// Responses that contain an erased user's name must not be stored, such as join tokens.
pub async fn erased_among(tx: &mut TenantTx, ids: Vec<UserId>) -> Result<Vec<UserId>> {
    let here: Vec<UserId> = users::table
        .filter(users::tenant_id.eq(tx.tenant()))
        .filter(users::id.eq_any(&ids))
        .select(users::id)
        .for_key_share()
        .load(tx)
        .await?;
    let gone: Vec<_> = ids.into_iter().filter(|id| !here.contains(id)).collect();
    if gone.is_empty() {
        return Ok(gone);
    }
    let names = gone.iter().map(ToString::to_string);
    let erased: Vec<String> = audit_events::table
        .filter(audit_events::tenant_id.eq(tx.tenant()))
        .filter(audit_events::resource_kind.eq("user"))
        .filter(audit_events::resource_id.eq_any(names.collect::<Vec<_>>()))
        .filter(audit_events::action.eq("user.deleted"))
        .select(audit_events::resource_id)
        .load(tx)
        .await?;
    Ok(erased.iter().filter_map(|id| id.parse().ok()).collect())
}

/// A page of users.
pub async fn list(tx: &mut TenantTx, window: Window, filter: Filter) -> Result<Rows<User>> {
    let tenant = tx.tenant();
    let query = |window: Window| {
        let Filter {
            email_lower,
            role,
            external_id,
        } = filter.clone();
        let mut query = users::table
            .filter(users::tenant_id.eq(tenant))
            .filter(users::id.lt(window.below()))
            .order(users::id.desc())
            .limit(window.fetch())
            .select(User::as_select())
            .into_boxed();
        if let Some(email) = email_lower {
            query = query.filter(users::email_lower.eq(email));
        }
        if let Some(role) = role {
            query = query.filter(users::role.eq(role));
        }
        if let Some(external_id) = external_id {
            query = query.filter(users::external_id.eq(external_id));
        }
        query
    };
    let total = window.total(tx, query).await?;
    let rows = window.cut(query(window).load(tx).await?);
    Ok(rows.with_total(total))
}

/// Stores a changed user.
pub async fn update(tx: &mut TenantTx, user: &User) -> Result<()> {
    diesel::update(users::table.find((tx.tenant(), user.id)))
        .set(user)
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a user and its names in rooms; the identity, which is an id, stays.
pub async fn erase(tx: &mut TenantTx, id: UserId) -> Result<()> {
    let stays = participants::table
        .filter(participants::tenant_id.eq(tx.tenant()))
        .filter(participants::identity.eq(id.identity()));
    diesel::update(stays)
        .set(participants::name.eq(""))
        .prepared()
        .execute(tx)
        .await?;
    diesel::delete(users::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}
