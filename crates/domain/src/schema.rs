//! The only part of utoipa's private interface that hand-written schemas need: `ComposeSchema`, which every
//! `ToSchema` must implement, is exported by `__dev` alone.

pub use utoipa::__dev::ComposeSchema;
