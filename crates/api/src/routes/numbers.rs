//! Telephone numbers: whose they are.

use actix_web::http::Method;
use chrono::{DateTime, Utc};
use patchbay_domain::{PhoneNumber, TenantId};
use patchbay_persistence::{inbound_mappings, numbers, tenants};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::{Deleted, Entity, Page, Resource},
    audit::{Change, Event},
    error::{ApiError, Code, Result},
    extract::{
        Caller, List, NoFilter, Path, path,
        scopes::{NumbersRead, Operator},
    },
    flows::inbound,
    openapi::{Api, Doc, Tag},
};

/// A telephone number of a tenant.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"number": "+4930123456", "assigned_at": "2026-11-23T20:00:00Z"}))]
pub struct Number {
    /// In E.164.
    #[schema(max_length = 16)]
    number: String,
    /// Since when it is the tenant's.
    assigned_at: DateTime<Utc>,
}

impl Resource for Number {}

impl From<numbers::Number> for Number {
    fn from(row: numbers::Number) -> Self {
        let numbers::Number {
            number,
            id: _,
            tenant_id: _,
            assigned_at,
        } = row;
        Self {
            number,
            assigned_at,
        }
    }
}

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::PhoneNumbers;
    let one = "/api/tenants/{tenant_id}/numbers/{number}";
    api.route(Method::PUT, one, assign, Doc {
        id: "assignNumber",
        tag,
        summary: "Assign a phone number",
        description: "For the operator: calls to this number are the tenant's from now on. A number has one owner; take it back from the other \
            one first.",
        errors: &[Code::NumberTaken, Code::ValidationFailed],
    });
    api.route(
        Method::GET,
        "/api/tenants/{tenant_id}/numbers",
        list,
        Doc {
            id: "listNumbers",
            tag,
            summary: "List phone numbers",
            description: "The tenant's numbers, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::DELETE,
        one,
        release,
        Doc {
            id: "releaseNumber",
            tag,
            summary: "Release a phone number",
            description: "For the operator: the number is nobody's from now on, and its inbound mapping is gone.",
            errors: &[],
        },
    );
}

fn parse(number: &str) -> Result<PhoneNumber> {
    number
        .parse()
        .map_err(|invalid| ApiError::invalid_at("", invalid))
}

async fn assign(
    caller: Caller<Operator>,
    Path((tenant, path::Number(number))): Path<(TenantId, path::Number)>,
) -> Result<Entity<Number>> {
    let number = parse(&number)?;
    caller
        .change(async |tx| {
            let known = tenants::find(tx, false).await?;
            known.ok_or_else(ApiError::not_found)?;
            let row = numbers::Number {
                number: number.to_string(),
                id: caller.app.clock.new_id(),
                tenant_id: tenant,
                assigned_at: caller.app.clock.now(),
            };
            let owned = numbers::assign(tx, &row).await?;
            if owned.tenant_id != tenant {
                let detail = "Another tenant has this number.";
                return Err(ApiError::new(Code::NumberTaken, detail));
            }
            let is_new = owned.id == row.id;
            let value = Number::from(owned);
            let event = Event::created("number", &value.number, &value);
            let answer = Entity(value);
            Ok(match is_new {
                true => Change::one(answer, event),
                false => Change::none(answer),
            })
        })
        .await
}

async fn list(caller: Caller<NumbersRead>, list: List<NoFilter>) -> Result<Page<Number>> {
    let mut tx = caller.read().await?;
    let known = tenants::find(&mut tx, false).await?;
    known.ok_or_else(ApiError::not_found)?;
    let rows = numbers::list(&mut tx, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Number::from))
}

async fn release(
    caller: Caller<Operator>,
    Path((_, path::Number(number))): Path<(TenantId, path::Number)>,
) -> Result<Deleted> {
    // What is no number was never assigned.
    let number = number
        .parse::<PhoneNumber>()
        .map_err(|_| ApiError::not_found())?;
    caller
        .change(async |tx| {
            let released = numbers::release(tx, &number).await?;
            let row = released.ok_or_else(ApiError::not_found)?;
            // Whoever has the number next must not find an answer of this tenant's.
            if let Some(mapping) = inbound_mappings::of_number(tx, &number).await? {
                inbound::forget(&caller.app, tx, mapping.id).await?;
            }
            let event = Event::deleted("number", &*number, &Number::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}
