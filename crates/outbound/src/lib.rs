//! The one place through which calls to addresses of tenants go.
//!
//! Architecture invariant: the address that was checked is the address that is connected to. The
//! check sits in the connector, below redirects, pools and names that resolve to something else a
//! moment later, so nothing above it can go around it.

mod address;
mod client;
mod connect;
mod mcp;
#[cfg(test)]
mod tests;

pub use address::{Policy, Refused};
pub use client::{Client, Error, HttpAnswer, Request};
pub use connect::Network;
pub use mcp::{McpAnswer, McpCall};
