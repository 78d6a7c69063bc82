//! Inbound mappings: which agent answers which number.

mod dto;
mod handlers;

use crate::{
    openapi::{Doc, Tag},
    router::Api,
};
use patchbay_service::Code;

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::InboundMappings);
    let all = "/api/tenants/{tenant_id}/inbound-mappings";
    let one = "/api/tenants/{tenant_id}/inbound-mappings/{mapping_id}";
    api.add(
        all,
        handlers::create,
        Doc::post("createInboundMapping", "Create an inbound mapping")
            .about(
                "Calls to a number of the tenant are answered by an agent, with the binding \
                 that is active at that moment. LiveKit is told in the background: look at \
                 `sync`.",
            )
            .errors(&[Code::NumberMapped, Code::SecretsNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/inbound-mappings/resolve",
        handlers::resolve,
        Doc::post("resolveInboundNumber", "Resolve an inbound number").about(
            "A dry run: which mapping, agent and binding would take a call to this number \
                 at this time, or why nobody would. Nothing happens.",
        ),
    );
    api.add(
        all,
        handlers::list,
        Doc::get("listInboundMappings", "List inbound mappings")
            .about("The tenant's mappings, newest first. Never their passwords."),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getInboundMapping", "Get an inbound mapping")
            .about("The mapping and what LiveKit has of it. Never its password."),
    );
    api.add(
        one,
        handlers::patch,
        Doc::patch("updateInboundMapping", "Update an inbound mapping")
            .about("LiveKit is told in the background; calls under way go on.")
            .errors(&[Code::SecretsNotConfigured]),
    );
    api.add(
        one,
        handlers::delete,
        Doc::delete("deleteInboundMapping", "Delete an inbound mapping")
            .about("LiveKit forgets it in the background; calls under way go on."),
    );
    api.add(
        "/api/tenants/{tenant_id}/inbound-mappings/{mapping_id}/claim",
        handlers::claim,
        Doc::post("claimInboundCall", "Claim an inbound call")
            .about(
                "For the worker that LiveKit has sent to a caller: makes the session and the \
                 call of this room, once, and answers what to run. The caller is looked for \
                 in the room; a room that this mapping has not made is not found. Where the \
                 call is refused, the room is deleted, and the worker leaves.",
            )
            .errors(&[
                Code::MappingDisabled,
                Code::Closed,
                Code::NoActiveBinding,
                Code::CallLimitReached,
                Code::SessionLimitReached,
            ]),
    );
}
