//! Counting a request before anything else is done for it.

use std::time::Duration;

use actix_web::{HttpMessage as _, HttpRequest};
use patchbay_domain::{api_key, limits::Class};
use patchbay_service::{Actor, Code, Error, Result, rates::RateLimits};

use crate::extract::{
    identity::{Identity, token_of},
    request::{RequestMeta, app_of},
};

/// How long a key waits for its refusal when it has just been refused.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// Counts a request of this class for its key and tenant, or a failed authentication for its address. The
/// installation's own keys are not limited.
pub async fn count(request: &HttpRequest, class: Class) -> Result<()> {
    let rates = &app_of(request)?.rates;
    refuse_flood(rates, request, class).await?;
    let identity = match Identity::of(request).await {
        Err(error) if error.is(Code::InvalidKey) => {
            return Err(count_failure(rates, request, error));
        }
        identity => identity?,
    };
    let (Actor::Key(key), Some(tenant)) = (&identity.actor, identity.tenant) else {
        return Ok(());
    };
    let (state, outcome) = rates.admit(*key, tenant, &identity.limits, class);
    rates.note_refusal(*key, identity.secret_hash, class, &state);
    request.extensions_mut().insert(state);
    outcome
}

/// Refuses a key that came too soon again, without asking the database.
async fn refuse_flood(rates: &RateLimits, request: &HttpRequest, class: Class) -> Result<()> {
    let token = token_of(request).ok();
    let Some((token, id)) = token.and_then(|token| Some((token, api_key::parse(token)?))) else {
        return Ok(());
    };
    let hash = api_key::hash(token);
    let Some((state, error)) = rates.still_refused(id, &hash, class) else {
        return Ok(());
    };
    request.extensions_mut().insert(state);
    // Whoever does not wait is made to: a flood over few connections slows down by itself.
    actix_web::rt::time::sleep(REFUSAL_PAUSE).await;
    Err(error)
}

/// The error of a failed authentication, or 429 where its address has failed too often.
fn count_failure(rates: &RateLimits, request: &HttpRequest, error: Error) -> Error {
    let Some(address) = RequestMeta::of(request).address else {
        return error;
    };
    let (state, outcome) = rates.fail(address);
    request.extensions_mut().insert(state);
    outcome.err().unwrap_or(error)
}
