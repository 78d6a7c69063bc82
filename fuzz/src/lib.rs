//! Fuzz targets: each makes an input of any bytes, gives it to code that meets strangers' input, and holds
//! the outcome against what must be true of it. `cargo xtask fuzz` searches for inputs for which it is
//! not; `tests/corpus.rs` tries again what has been found.

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
