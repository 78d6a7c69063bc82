//! Rate limiting, before any other work for a request.

use std::time::Duration;

use actix_web::{HttpMessage as _, HttpRequest};
use patchbay_domain::{api_key, limits::Class};
use patchbay_service::{
    Actor, Code, Error, Result,
    rates::{RateLimits, Subject},
};

use crate::extract::{
    identity::{Identity, bearer_token},
    request::{RequestMeta, app_state},
};

/// Delay of the response to a key that has just exceeded its limit.
const REPEATED_REFUSAL_DELAY: Duration = Duration::from_millis(100);

/// Counts a request of this class against the limits of its key and tenant, or a failed authentication against the
/// limit of its address. The keys of the installation are not limited.
pub async fn enforce(request: &HttpRequest, class: Class) -> Result<()> {
    let rates = &app_state(request)?.rates;
    refuse_early(rates, request, class).await?;
    let identity = match Identity::of(request).await {
        Err(error) if error.is(Code::InvalidKey) => {
            return Err(count_failure(rates, request, error));
        }
        identity => identity?,
    };
    let (Actor::Key(key), Some(tenant)) = (&identity.actor, identity.tenant) else {
        return Ok(());
    };
    let holder = match identity.session {
        Some(session) => Subject::Session(session),
        None => Subject::Key(*key),
    };
    let (state, outcome) = rates.admit(holder, tenant, &identity.limits, class);
    if identity.session.is_none() {
        rates.cache_refusal(*key, identity.secret_hash, class, &state);
    }
    request.extensions_mut().insert(state);
    outcome
}

/// Refuses a key whose limit is still exceeded, without a database query.
async fn refuse_early(rates: &RateLimits, request: &HttpRequest, class: Class) -> Result<()> {
    let token = bearer_token(request).ok();
    let Some((token, id)) = token.and_then(|token| Some((token, api_key::parse(token)?))) else {
        return Ok(());
    };
    let hash = api_key::hash(token);
    let Some((state, error)) = rates.cached_refusal(id, &hash, class) else {
        return Ok(());
    };
    request.extensions_mut().insert(state);
    // The delay slows down a client that sends many requests over few connections and ignores Retry-After.
    actix_web::rt::time::sleep(REPEATED_REFUSAL_DELAY).await;
    Err(error)
}

/// Returns the error of a failed authentication, or 429 if the address has failed too often.
fn count_failure(rates: &RateLimits, request: &HttpRequest, error: Error) -> Error {
    let Some(address) = RequestMeta::of(request).address else {
        return error;
    };
    let (state, outcome) = rates.count_failure(address);
    request.extensions_mut().insert(state);
    outcome.err().unwrap_or(error)
}
