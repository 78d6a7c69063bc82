//! Limits of a tenant.

mod numbers;
mod rates;
mod tenant;
#[cfg(test)]
mod tests;

pub use rates::{CallLimits, Class, Rates};
pub use tenant::{TenantLimits, is_prefix};
