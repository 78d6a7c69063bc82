//! The one thing that hand-written schemas need of utoipa beyond its public interface: a type describes
//! itself in `ComposeSchema`, which every `ToSchema` must implement and which only `__dev` exports.

pub use utoipa::__dev::ComposeSchema;
