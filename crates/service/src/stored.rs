//! Reads stored values. A value that cannot be read is an error and never replaced by a default: without its limit
//! or its opening hours, a tenant would be allowed more than intended.

use patchbay_domain::{Invalid, RawJson, TenantId, limits::TenantLimits};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// Reads the limits of a tenant.
pub fn limits(tenant: TenantId, stored: Value) -> Result<TenantLimits> {
    let read = TenantLimits::from_stored(stored);
    read.map_err(|invalid| Error::unreadable(tenant, "tenants.limits", invalid.message))
}

/// Reads a parsed JSON value of a tenant; `column` names it in the error.
pub fn json<T: DeserializeOwned>(tenant: TenantId, column: &str, stored: Value) -> Result<T> {
    serde_json::from_value(stored).map_err(|error| Error::unreadable(tenant, column, error))
}

/// Reads an unparsed JSON value of a tenant; `column` names it in the error.
pub fn raw<T: DeserializeOwned>(tenant: TenantId, column: &str, stored: &RawJson) -> Result<T> {
    let read = stored.read();
    read.map_err(|error| Error::unreadable(tenant, column, error))
}

/// Reads a text value of a tenant; `column` names it in the error.
pub fn text<T>(tenant: TenantId, column: &str, stored: String) -> Result<T>
where
    T: TryFrom<String, Error = Invalid>,
{
    let read = stored.try_into();
    read.map_err(|invalid: Invalid| Error::unreadable(tenant, column, invalid.message))
}
