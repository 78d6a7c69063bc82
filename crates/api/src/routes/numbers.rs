//! Telephone numbers: whose they are.

use chrono::{DateTime, Utc};
use patchbay_domain::{PhoneNumber, TenantId};
use patchbay_persistence::{inbound_mappings, numbers, tenants};
use patchbay_service::{
    Code, Error, Result,
    audit::{Change, Event},
    telephony::mappings,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::{Deleted, Entity, Page, Resource},
    extract::{
        Caller, List, NoFilter, Path, path,
        scopes::{NumbersRead, Operator},
    },
    openapi::{Doc, Tag},
    router::Api,
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
    let mut api = api.tag(Tag::PhoneNumbers);
    let one = "/api/tenants/{tenant_id}/numbers/{number}";
    api.add(
        one,
        assign,
        Doc::put("assignNumber", "Assign a phone number")
            .about(
                "For the operator: calls to this number are the tenant's from now on. A \
                 number has one owner; take it back from the other one first.",
            )
            .errors(&[Code::NumberTaken, Code::ValidationFailed]),
    );
    api.add(
        "/api/tenants/{tenant_id}/numbers",
        list,
        Doc::get("listNumbers", "List phone numbers").about("The tenant's numbers, newest first."),
    );
    api.add(
        one,
        release,
        Doc::delete("releaseNumber", "Release a phone number").about(
            "For the operator: the number is unassigned from now on, and its inbound \
                 mapping is gone.",
        ),
    );
}

fn parse(number: &str) -> Result<PhoneNumber> {
    number
        .parse()
        .map_err(|invalid| Error::invalid_at("", invalid))
}

async fn assign(
    caller: Caller<Operator>,
    Path((tenant, path::Number(number))): Path<(TenantId, path::Number)>,
) -> Result<Entity<Number>> {
    let number = parse(&number)?;
    caller
        .change(async |tx| {
            let known = tenants::find(tx).await?;
            known.ok_or_else(Error::not_found)?;
            let row = numbers::Number {
                number: number.to_string(),
                id: caller.service.clock.new_id(),
                tenant_id: tenant,
                assigned_at: caller.service.clock.now(),
            };
            let owned = numbers::assign(tx, &row).await?;
            if owned.tenant_id != tenant {
                let detail = "Another tenant has this number.";
                return Err(Error::new(Code::NumberTaken, detail));
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
    let known = tenants::find(&mut tx).await?;
    known.ok_or_else(Error::not_found)?;
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
        .map_err(|_| Error::not_found())?;
    caller
        .change(async |tx| {
            let released = numbers::release(tx, &number).await?;
            let row = released.ok_or_else(Error::not_found)?;
            // Whoever has the number next must not find an answer of this tenant's.
            if let Some(mapping) = inbound_mappings::of_number(tx, &number).await? {
                mappings::delete(&caller.service, tx, mapping.id).await?;
            }
            let event = Event::deleted("number", &*number, &Number::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}
