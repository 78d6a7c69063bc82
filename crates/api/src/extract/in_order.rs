//! Sequential extraction.
//!
//! actix polls all extractors of a handler concurrently, so an error of the body could be returned before the key
//! is checked. Here each extractor waits for the previous one: an unauthorised caller always gets that error,
//! and the body is not read.

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;

/// The arguments of a handler.
pub struct InOrder<Args>(pub Args);

macro_rules! in_order {
    ($($part:ident),*) => {
        impl<$($part: FromRequest + 'static),*> FromRequest for InOrder<($($part,)*)> {
            type Error = Error;
            type Future = LocalBoxFuture<'static, Result<Self, Error>>;

            fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
                let (request, mut payload) = (request.clone(), payload.take());
                Box::pin(async move {
                    Ok(Self(($(
                        $part::from_request(&request, &mut payload).await.map_err(Into::into)?,
                    )*)))
                })
            }
        }
    };
}
in_order!(A);
in_order!(A, B);
in_order!(A, B, C);
in_order!(A, B, C, D);
in_order!(A, B, C, D, E);
