//! Common parts of `tel:` and `sip:` URIs.

use super::{number::invalid, plan};
use crate::invalid::Invalid;

/// The URI without its scheme.
pub(super) fn after_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let text = text.trim_matches(' ');
    let begins = text.get(..scheme.len())?.eq_ignore_ascii_case(scheme);
    begins.then(|| &text[scheme.len()..])
}

/// The number of a URI and the country code of its `phone-context`. Extensions and all other parameters are
/// refused, as they could not be dialled.
pub(super) fn split_context(text: &str) -> Result<(&str, Option<u16>), Invalid> {
    let mut parts = text.split(';');
    let number = parts.next().unwrap_or_default();
    let mut country = None;
    for part in parts {
        let context = after_scheme(part, "phone-context=");
        let context =
            context.ok_or_else(|| invalid("it has a parameter that cannot be dialled"))?;
        let digits = context.strip_prefix('+').or(context.strip_prefix("%2B"));
        let code = digits.and_then(plan::split);
        match code {
            Some((code, "")) if country.is_none() => country = Some(code),
            _ => return Err(invalid("its `phone-context` is no country code")),
        }
    }
    Ok((number, country))
}
