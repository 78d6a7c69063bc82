//! Fuzz targets: each builds an input from any bytes, passes it to code that handles untrusted input, and checks
//! properties of the outcome. `cargo xtask fuzz` searches for failing inputs; `tests/corpus.rs` runs those that
//! were found.

mod input;

#[cfg(feature = "cursors")]
pub mod cursors;
#[cfg(feature = "extraction")]
pub mod extraction;
#[cfg(feature = "forwarded_for")]
pub mod forwarded_for;
#[cfg(feature = "hours")]
pub mod hours;
#[cfg(feature = "merge_patches")]
pub mod merge_patches;
#[cfg(feature = "phone_numbers")]
pub mod phone_numbers;
#[cfg(feature = "range")]
pub mod range;
#[cfg(feature = "schemas")]
pub mod schemas;
#[cfg(feature = "templates")]
pub mod templates;
#[cfg(feature = "tool_rendering")]
pub mod tool_rendering;
#[cfg(feature = "webhooks")]
pub mod webhooks;
