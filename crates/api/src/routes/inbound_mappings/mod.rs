//! Routes of inbound mappings, which assign agents to phone numbers.

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
                "Assigns an agent to a phone number of the tenant. The agent answers calls with \
                 the binding that is active when the call arrives. The mapping is synced to \
                 LiveKit in the background; `sync` shows the status.",
            )
            .errors(&[Code::NumberMapped, Code::SecretsNotConfigured]),
    );
    api.add(
        "/api/tenants/{tenant_id}/inbound-mappings/resolve",
        handlers::resolve,
        Doc::post("resolveInboundNumber", "Resolve an inbound number").about(
            "Returns the mapping, agent and binding that would answer a call to a phone number at \
             a given time, or the reason for which the call would be refused. This is a dry run \
             without side effects.",
        ),
    );
    api.add(
        all,
        handlers::list,
        Doc::get("listInboundMappings", "List inbound mappings").about(
            "Returns the mappings of the tenant, newest first. Passwords are never returned.",
        ),
    );
    api.add(
        one,
        handlers::get,
        Doc::get("getInboundMapping", "Get an inbound mapping")
            .about("Returns the mapping with its sync status. The password is never returned."),
    );
    api.add(
        one,
        handlers::patch,
        Doc::patch("updateInboundMapping", "Update an inbound mapping")
            .about(
                "Changes the given fields. The mapping is synced to LiveKit in the background; \
                 active calls are not affected.",
            )
            .errors(&[Code::SecretsNotConfigured]),
    );
    api.add(
        one,
        handlers::delete,
        Doc::delete("deleteInboundMapping", "Delete an inbound mapping").about(
            "Deletes the mapping. It is removed from LiveKit in the background; active calls are \
             not affected.",
        ),
    );
    api.add(
        "/api/tenants/{tenant_id}/inbound-mappings/{mapping_id}/claim",
        handlers::claim,
        Doc::post("claimInboundCall", "Claim an inbound call")
            .about(
                "Called by the worker that LiveKit has dispatched for an inbound call. Creates the \
                 session and the call of the room and returns the configuration to run. Repeated \
                 claims of the same room return the same session. Returns 404 if the room was not \
                 created by this mapping or has no caller. If the call is refused, the room is \
                 deleted and the worker must leave.",
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
