//! Routes of users, the people of a tenant.

use patchbay_domain::{
    Metadata, TenantId, UserId,
    email::Email,
    text::{OneLine, Text, Word},
};
use patchbay_persistence::{idempotency, users};
use patchbay_service::{
    Code, Error, Result,
    audit::{Change, Event},
    idempotency::Idempotent,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{
        Caller, IdempotencyKey, IfMatch, Json, List, Patch, Path,
        scopes::{UsersRead, UsersWrite},
    },
    openapi::{Doc, Tag},
    response::{Created, Deleted, Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// A user: a person who can join sessions of the tenant.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f90",
    "email": "ada@example.org",
    "display_name": "Ada Lovelace",
    "role": "support",
    "external_id": "crm-4711",
    "metadata": {},
    "revision": 1,
    "created_at": "2026-11-23T20:00:00Z",
    "updated_at": "2026-11-23T20:00:00Z"
}))]
pub struct User {
    /// Id of the user. The user's participant identity in rooms is `usr_` followed by this id.
    id: UserId,
    /// Email address, unique within the tenant, ignoring case.
    email: Email,
    /// Display name, used as the participant name in rooms.
    #[schema(max_length = 200)]
    display_name: String,
    /// Custom role label. It grants no permissions.
    #[schema(max_length = 64)]
    role: Option<String>,
    /// Id of the user in an external system, unique within the tenant.
    #[schema(max_length = 200)]
    external_id: Option<String>,
    /// Custom metadata, a JSON object of at most 16 KiB.
    metadata: Metadata,
    /// Revision number, incremented with every change.
    #[schema(minimum = 1)]
    revision: i64,
    /// Time at which the user was created.
    created_at: Timestamp,
    /// Time at which the user was last changed.
    updated_at: Timestamp,
}

impl Resource for User {
    const VERSIONED: bool = true;
    fn revision(&self) -> Option<i64> {
        Some(self.revision)
    }
}

impl TryFrom<users::User> for User {
    type Error = Error;
    fn try_from(row: users::User) -> Result<Self> {
        let users::User {
            tenant_id: _,
            id,
            email,
            email_lower: _,
            display_name,
            role,
            external_id,
            metadata,
            revision,
            created_at,
            updated_at,
        } = row;
        Ok(Self {
            id,
            email: Email::new(email)?,
            display_name,
            role,
            external_id,
            metadata,
            revision,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        })
    }
}

/// Request to create a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "display_name": "Ada Lovelace", "external_id": "crm-4711"}))]
pub struct CreateUser {
    /// Email address, unique within the tenant, ignoring case.
    email: Email,
    /// Display name, used as the participant name in rooms.
    display_name: OneLine<1, 200>,
    /// Custom role label. It grants no permissions.
    role: Option<Word>,
    /// Id of the user in an external system, unique within the tenant.
    external_id: Option<Text<1, 200>>,
    /// Custom metadata, a JSON object of at most 16 KiB.
    #[serde(default)]
    metadata: Metadata,
}

/// Request to update a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"display_name": "Ada King", "role": null}))]
pub struct PatchUser {
    /// Email address, unique within the tenant, ignoring case.
    #[serde(default)]
    email: Patch<Email>,
    /// Display name, used as the participant name in rooms.
    #[serde(default)]
    display_name: Patch<OneLine<1, 200>>,
    /// Custom role label; null removes it.
    #[serde(default)]
    role: Patch<Option<Word>>,
    /// Id of the user in an external system, unique within the tenant; null removes it.
    #[serde(default)]
    external_id: Patch<Option<Text<1, 200>>>,
    /// Metadata to merge into the stored metadata; null clears it.
    #[serde(default)]
    metadata: Patch<Option<Metadata>>,
}

impl PatchUser {
    fn apply(self, row: &mut users::User) -> Result<()> {
        if let Patch::To(email) = self.email {
            row.email_lower = email.lower();
            row.email = email.into_inner();
        }
        self.display_name
            .apply(&mut row.display_name, OneLine::into_inner);
        self.role
            .apply(&mut row.role, |role| role.map(Word::into_inner));
        self.external_id
            .apply(&mut row.external_id, |id| id.map(Text::into_inner));
        if let Patch::To(patch) = self.metadata {
            row.metadata = row.metadata.merged(patch)?;
        }
        Ok(())
    }
}

/// Filters for listing users.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFilter {
    /// Only the user with this email address, ignoring case.
    #[schema(max_length = 254)]
    email: Option<String>,
    /// Only users with this role label.
    #[schema(max_length = 64)]
    role: Option<String>,
    /// Only the user with this external id.
    #[schema(max_length = 200)]
    external_id: Option<String>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Users);
    let all = "/api/tenants/{tenant_id}/users";
    let one = "/api/tenants/{tenant_id}/users/{user_id}";
    api.add(
        all,
        create,
        Doc::post("createUser", "Create a user")
            .about(
                "Creates a user, for whom join tokens can be created by user id. Users have no API \
                 keys and no permissions in this API.",
            )
            .errors(&[Code::EmailTaken, Code::ExternalIdTaken]),
    );
    api.add(
        all,
        list,
        Doc::get("listUsers", "List users").about("Returns the users of the tenant, newest first."),
    );
    api.add(
        one,
        get,
        Doc::get("getUser", "Get a user").about("Returns the user with all stored data."),
    );
    api.add(
        one,
        patch,
        Doc::patch("updateUser", "Update a user")
            .about(
                "Changes the given fields. Existing join tokens keep the name with which they were \
                 created.",
            )
            .errors(&[Code::EmailTaken, Code::ExternalIdTaken]),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteUser", "Delete a user").about(
            "Erases all personal data of the user, including their names in past sessions. Past \
             sessions keep the user id in the participant identity.",
        ),
    );
}

async fn create(
    caller: Caller<UsersWrite>,
    Json(body): Json<CreateUser>,
    key: IdempotencyKey,
) -> Result<Idempotent<Created<User>>> {
    let tenant = caller.tenant()?;
    let now = caller.service.clock.now();
    let row = users::User {
        tenant_id: tenant,
        id: caller.service.clock.new_id(),
        email_lower: body.email.lower(),
        email: body.email.into_inner(),
        display_name: body.display_name.into_inner(),
        role: body.role.map(Word::into_inner),
        external_id: body.external_id.map(Text::into_inner),
        metadata: body.metadata,
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    caller
        .once(&key, async |tx| {
            users::insert(tx, &row).await?;
            let value = User::try_from(row)?;
            let event = Event::created("user", value.id, &value);
            let location = format!("/api/tenants/{tenant}/users/{}", value.id);
            Ok(Change::one(Created { location, value }, event))
        })
        .await
}

async fn list(caller: Caller<UsersRead>, list: List<UserFilter, true>) -> Result<Page<User>> {
    let filter = users::Filter {
        email_lower: list.filter.email.as_ref().map(|e| e.to_lowercase()),
        role: list.filter.role.clone(),
        external_id: list.filter.external_id.clone(),
    };
    let mut tx = caller.read().await?;
    let rows = users::list(&mut tx, list.window, filter).await?;
    tx.finish();
    Page::try_new(rows, |row| row.id.uuid(), User::try_from)
}

async fn get(
    caller: Caller<UsersRead>,
    Path((_, id)): Path<(TenantId, UserId)>,
) -> Result<Entity<User>> {
    let mut tx = caller.read().await?;
    let found = users::find(&mut tx, id).await?;
    tx.finish();
    Ok(Entity(found.ok_or_else(Error::not_found)?.try_into()?))
}

async fn patch(
    caller: Caller<UsersWrite>,
    Path((_, id)): Path<(TenantId, UserId)>,
    if_match: IfMatch,
    Json(body): Json<PatchUser>,
) -> Result<Entity<User>> {
    let user = caller
        .change(async |tx| {
            let found = users::lock(tx, id).await?;
            let mut row = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            let before = User::try_from(row.clone())?;
            body.apply(&mut row)?;
            row.revision += 1;
            row.updated_at = caller.service.clock.now();
            users::update(tx, &row).await?;
            let after = User::try_from(row)?;
            let event = Event::updated("user", id, &before, &after);
            Ok(Change::one(after, event))
        })
        .await?;
    Ok(Entity(user))
}

async fn delete(
    caller: Caller<UsersWrite>,
    Path((tenant, id)): Path<(TenantId, UserId)>,
    if_match: IfMatch,
) -> Result<Deleted> {
    caller
        .change(async |tx| {
            let found = users::lock(tx, id).await?;
            let row = found.ok_or_else(Error::not_found)?;
            if_match.check(row.revision)?;
            users::erase(tx, id).await?;
            idempotency::erase(tx, &format!("/api/tenants/{tenant}/users/{id}")).await?;
            idempotency::erase_attachments(tx, &id.identity()).await?;
            let event = Event::deleted("user", id, &User::try_from(row)?);
            Ok(Change::one(Deleted, event))
        })
        .await
}
