//! Reading what is stored. What cannot be read is an error, never a default: a limit that is lost, or
//! opening hours that are, would allow more than was meant.

use patchbay_domain::{Invalid, RawJson, TenantId, limits::TenantLimits};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// The limits of a tenant.
pub fn limits(tenant: TenantId, stored: Value) -> Result<TenantLimits> {
    let read = TenantLimits::from_stored(stored);
    read.map_err(|invalid| Error::unreadable(tenant, "tenants.limits", invalid.message))
}

/// A JSON value of a tenant, out of the column of this name.
pub fn json<T: DeserializeOwned>(tenant: TenantId, column: &str, stored: Value) -> Result<T> {
    serde_json::from_value(stored).map_err(|error| Error::unreadable(tenant, column, error))
}

/// The same of JSON that was not parsed yet.
pub fn raw<T: DeserializeOwned>(tenant: TenantId, column: &str, stored: &RawJson) -> Result<T> {
    let read = stored.read();
    read.map_err(|error| Error::unreadable(tenant, column, error))
}

/// A word of a tenant, out of the column of this name.
pub fn word<T>(tenant: TenantId, column: &str, stored: String) -> Result<T>
where
    T: TryFrom<String, Error = Invalid>,
{
    let read = stored.try_into();
    read.map_err(|invalid: Invalid| Error::unreadable(tenant, column, invalid.message))
}
