//! HTTP routes, one module per resource. Handlers extract the request, call the service and map the result.

mod agents;
mod artifacts;
mod audit_events;
mod bindings;
mod calls;
mod credentials;
mod files;
mod health;
mod inbound_mappings;
mod jobs;
mod keys;
mod metrics;
mod numbers;
mod prompts;
mod runtime_configs;
mod search;
mod secrets;
mod sessions;
mod sip_trunks;
mod tenants;
mod tokens;
mod tools;
mod users;
mod webhooks;
mod whoami;
mod workers;

use crate::router::Api;

/// Registers all routes, from which the OpenAPI document is generated too.
pub fn api() -> Api {
    let mut api = Api::default();
    for add in [
        health::routes,
        whoami::routes,
        tenants::routes,
        keys::routes,
        agents::routes,
        prompts::routes,
        tools::routes,
        runtime_configs::routes,
        bindings::routes,
        sessions::routes,
        users::routes,
        secrets::routes,
        tokens::routes,
        numbers::routes,
        sip_trunks::routes,
        calls::routes,
        inbound_mappings::routes,
        files::routes,
        search::routes,
        metrics::routes,
        audit_events::routes,
        webhooks::routes,
        workers::routes,
        jobs::routes,
    ] {
        add(&mut api);
    }
    api
}
