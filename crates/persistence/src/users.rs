//! People of a tenant.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use patchbay_domain::{Metadata, TenantId, UserId};

use crate::{
    Result, TenantTx, Window,
    schema::{participants, users},
};

/// One user.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
#[diesel(primary_key(tenant_id, id))]
#[expect(missing_docs, reason = "columns")]
pub struct User {
    pub tenant_id: TenantId,
    pub id: UserId,
    pub email: String,
    /// What uniqueness and filters go by.
    pub email_lower: String,
    pub display_name: String,
    pub role: Option<String>,
    pub external_id: Option<String>,
    pub metadata: Metadata,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Which users are wanted.
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

/// One user, locked if `lock`.
pub async fn find(tx: &mut TenantTx, id: UserId, lock: bool) -> Result<Option<User>> {
    let query = users::table
        .find((tx.tenant(), id))
        .select(User::as_select());
    let found = if lock {
        query.for_update().first(tx).await
    } else {
        query.first(tx).await
    };
    Ok(found.optional()?)
}

/// A page of users.
pub async fn list(tx: &mut TenantTx, window: Window, filter: Filter) -> Result<Vec<User>> {
    let Filter {
        email_lower,
        role,
        external_id,
    } = filter;
    let mut query = users::table
        .filter(users::tenant_id.eq(tx.tenant()))
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
    Ok(query.load(tx).await?)
}

/// Stores a changed user.
pub async fn update(tx: &mut TenantTx, user: &User) -> Result<()> {
    diesel::update(users::table.find((tx.tenant(), user.id)))
        .set(user)
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a user, and the names they bore in rooms; the identity, which is an id, stays.
pub async fn erase(tx: &mut TenantTx, id: UserId) -> Result<()> {
    let stays = participants::table
        .filter(participants::tenant_id.eq(tx.tenant()))
        .filter(participants::identity.eq(id.identity()));
    diesel::update(stays)
        .set(participants::name.eq(""))
        .execute(tx)
        .await?;
    diesel::delete(users::table.find((tx.tenant(), id)))
        .execute(tx)
        .await?;
    Ok(())
}
