//! Sequential extraction.
//!
//! actix polls all extractors of a handler concurrently, so an error of the body could be returned before the key
//! is checked. Here each extractor waits for the previous one: an unauthorised caller always gets that error,
//! and the body is not read.

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};

/// The arguments of a handler, a tuple.
pub trait InOrder: Sized {
    /// Extracts one after the other.
    fn extract(
        request: &HttpRequest,
        payload: &mut Payload,
    ) -> impl Future<Output = Result<Self, Error>>;
}

macro_rules! in_order {
    ($($part:ident),*) => {
        impl<$($part: FromRequest),*> InOrder for ($($part,)*) {
            async fn extract(request: &HttpRequest, payload: &mut Payload) -> Result<Self, Error> {
                Ok(($($part::from_request(request, payload).await.map_err(Into::into)?,)*))
            }
        }
    };
}
in_order!(A);
in_order!(A, B);
in_order!(A, B, C);
in_order!(A, B, C, D);
in_order!(A, B, C, D, E);
