//! Phone numbers in E.164.

mod dialled;
mod emergency;
mod number;
mod plan;
mod prefix;
mod spelling;
mod target;
mod uri;

pub use dialled::Dialled;
pub use number::PhoneNumber;
pub use prefix::normalise as normalise_prefix;
pub use target::TransferTarget;
