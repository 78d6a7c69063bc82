//! The only place for requests to addresses that tenants choose.
//!
//! Architecture invariant: the address that was checked is the address that is connected to. The check is in the
//! connector, below redirects, connection pools and DNS rebinding, so that no code above can bypass it.

mod address;
mod client;
mod connect;
mod mcp;
#[cfg(test)]
mod tests;

pub use address::{Policy, Refused};
pub use client::{Client, Error, HttpResponse, Request};
pub use connect::Network;
pub use mcp::{McpCall, McpResponse};
