//! Lists that are read in either direction.

use patchbay_domain::Invalid;
use patchbay_persistence::Window;
use patchbay_service::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The newest item first.
    NewestFirst,
    /// The oldest item first.
    OldestFirst,
}

/// The id after which a list that is read forwards begins; `None` if it is read backwards.
pub(super) fn forward_start(
    window: &Window,
    order: Option<Order>,
    after: Option<Uuid>,
) -> Result<Option<Uuid>> {
    match (order, after) {
        (Some(Order::NewestFirst), Some(_)) => {
            let message = "with `after`, the oldest item is first";
            Err(Error::invalid_at(
                "/order",
                Invalid::new("conflict", message),
            ))
        }
        (Some(Order::OldestFirst), _) | (None, Some(_)) => {
            // The cursor of a further page is later than where the list began.
            Ok(Some(window.before.or(after).unwrap_or(Uuid::nil())))
        }
        (Some(Order::NewestFirst) | None, None) => Ok(None),
    }
}
