//! Phone numbers and the tenants they are assigned to.

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
    extract::{
        Caller, List, NoFilter, Path, path,
        scopes::{NumbersRead, Operator},
    },
    openapi::{Doc, Tag},
    response::{Deleted, Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// A phone number that is assigned to a tenant.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"number": "+4930123456", "assigned_at": "2026-11-23T20:00:00Z"}))]
pub struct Number {
    /// Phone number in E.164 format.
    #[schema(max_length = 16)]
    number: String,
    /// Time at which the number was assigned to the tenant.
    assigned_at: Timestamp,
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
            assigned_at: assigned_at.into(),
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
                "Operator only. Assigns a phone number to the tenant, which can then create an \
                 inbound mapping for it. A number belongs to one tenant at a time; release it from \
                 its current tenant first.",
            )
            .errors(&[Code::NumberTaken, Code::ValidationFailed]),
    );
    api.add(
        "/api/tenants/{tenant_id}/numbers",
        list,
        Doc::get("listNumbers", "List phone numbers")
            .about("Returns the phone numbers of the tenant, newest first."),
    );
    api.add(
        one,
        release,
        Doc::delete("releaseNumber", "Release a phone number").about(
            "Operator only. Removes the phone number from the tenant and deletes its inbound \
             mapping.",
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
            tenants::find(tx).await?.ok_or_else(Error::not_found)?;
            let row = numbers::Number {
                number: number.to_string(),
                id: caller.service.clock.new_id(),
                tenant_id: tenant,
                assigned_at: caller.service.clock.now(),
            };
            let assigned = numbers::assign(tx, &row).await?;
            if assigned.tenant_id != tenant {
                let detail = "The number is assigned to another tenant.";
                return Err(Error::new(Code::NumberTaken, detail));
            }
            let is_new = assigned.id == row.id;
            let value = Number::from(assigned);
            let event = Event::created("number", &value.number, &value);
            let response = Entity(value);
            Ok(match is_new {
                true => Change::one(response, event),
                false => Change::without_events(response),
            })
        })
        .await
}

async fn list(caller: Caller<NumbersRead>, list: List<NoFilter>) -> Result<Page<Number>> {
    let mut tx = caller.read().await?;
    let found = tenants::find(&mut tx).await?;
    found.ok_or_else(Error::not_found)?;
    let rows = numbers::list(&mut tx, list.window).await?;
    tx.finish();
    Ok(Page::new(rows, |row| row.id.uuid(), Number::from))
}

async fn release(
    caller: Caller<Operator>,
    Path((_, path::Number(number))): Path<(TenantId, path::Number)>,
) -> Result<Deleted> {
    // An invalid number cannot have been assigned.
    let number = number
        .parse::<PhoneNumber>()
        .map_err(|_| Error::not_found())?;
    caller
        .change(async |tx| {
            let released = numbers::release(tx, &number).await?;
            let row = released.ok_or_else(Error::not_found)?;
            // The mapping must not answer calls of the number's next tenant.
            if let Some(mapping) = inbound_mappings::of_number(tx, &number).await? {
                mappings::delete(&caller.service, tx, mapping.id).await?;
            }
            let event = Event::deleted("number", &*number, &Number::from(row));
            Ok(Change::one(Deleted, event))
        })
        .await
}
