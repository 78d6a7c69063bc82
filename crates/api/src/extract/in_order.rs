//! Extraction strictly from left to right.
//!
//! actix polls all extractors of a handler at once, so a malformed body could be answered before
//! the key has been looked at. Here each waits for the one before it: who may not call is told so,
//! whatever else is wrong, and their body is not read.

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
