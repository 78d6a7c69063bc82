//! Inbound mappings: which agent answers which number.

mod dto;
mod handlers;
mod origins;
mod resolve;

use actix_web::http::Method;

use crate::{
    error::Code,
    openapi::{Api, Doc, Tag},
};

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::InboundMappings;
    let all = "/api/tenants/{tenant_id}/inbound-mappings";
    let one = "/api/tenants/{tenant_id}/inbound-mappings/{mapping_id}";
    api.route(Method::POST, all, handlers::create, Doc {
        id: "createInboundMapping",
        tag,
        summary: "Create an inbound mapping",
        description: "Calls to a number of the tenant are answered by an agent, with the binding that is active at that moment. LiveKit is told \
            in the background: look at `sync`.",
        errors: &[Code::NumberMapped, Code::SecretsNotConfigured],
    });
    api.route(Method::POST, "/api/tenants/{tenant_id}/inbound-mappings/resolve", resolve::resolve, Doc {
        id: "resolveInboundNumber",
        tag,
        summary: "Resolve an inbound number",
        description: "A dry run: which mapping, agent and binding would take a call to this number at this time, or why nobody would. Nothing \
            happens.",
        errors: &[],
    });
    api.route(
        Method::GET,
        all,
        handlers::list,
        Doc {
            id: "listInboundMappings",
            tag,
            summary: "List inbound mappings",
            description: "The tenant's mappings, newest first. Never their passwords.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        handlers::get,
        Doc {
            id: "getInboundMapping",
            tag,
            summary: "Get an inbound mapping",
            description: "The mapping and what LiveKit has of it. Never its password.",
            errors: &[],
        },
    );
    api.route(
        Method::PATCH,
        one,
        handlers::patch,
        Doc {
            id: "updateInboundMapping",
            tag,
            summary: "Update an inbound mapping",
            description: "LiveKit is told in the background; calls under way go on.",
            errors: &[Code::SecretsNotConfigured],
        },
    );
    api.route(
        Method::DELETE,
        one,
        handlers::delete,
        Doc {
            id: "deleteInboundMapping",
            tag,
            summary: "Delete an inbound mapping",
            description: "LiveKit forgets it in the background; calls under way go on.",
            errors: &[],
        },
    );
    api.route(Method::POST, "/api/tenants/{tenant_id}/inbound-mappings/{mapping_id}/claim", handlers::claim, Doc {
        id: "claimInboundCall",
        tag,
        summary: "Claim an inbound call",
        description: "For the worker that LiveKit has sent to a caller: makes the session and the call of this room, once, and answers what to \
            run. The caller is looked for in the room; a room that this mapping has not made is not found. Where the call is refused, \
            the room is deleted, and the worker leaves.",
        errors: &[Code::MappingDisabled, Code::Closed, Code::NoActiveBinding, Code::CallLimitReached, Code::SessionLimitReached],
    });
}
