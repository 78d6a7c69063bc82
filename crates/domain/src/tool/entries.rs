//! Maps of templates: headers, query parameters and form fields.

use std::collections::{BTreeMap, BTreeSet};

use super::template::{Filling, check_template};
use crate::{
    invalid::{Invalid, Violation, escape},
    text::Text,
};

/// Maximum number of headers, query parameters or form fields.
const MOST_ENTRIES: usize = 50;
/// Headers of the connection, which a spec may not set.
const RESERVED_HEADERS: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Validates the number of entries, and their values.
pub(super) fn check_entries(
    entries: &BTreeMap<String, Text<0, 4000>>,
    declared: Option<&BTreeSet<&str>>,
    pointer: &str,
    found: &mut Vec<Violation>,
) {
    if entries.len() > MOST_ENTRIES {
        let message = format!("at most {MOST_ENTRIES} entries are allowed");
        found.push(Invalid::new("too_many", message).at(pointer));
    }
    for (name, source) in entries {
        check_template(
            source,
            declared,
            format!("{pointer}/{}", escape(name)),
            found,
        );
    }
}

/// Validates names and values of headers.
pub(super) fn check_headers(
    headers: &BTreeMap<String, Text<0, 4000>>,
    declared: Option<&BTreeSet<&str>>,
    pointer: &str,
    found: &mut Vec<Violation>,
) {
    check_entries(headers, declared, pointer, found);
    for name in headers.keys() {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let lower = name.to_ascii_lowercase();
        let wrong = match () {
            () if name.is_empty() || name.len() > 100 || !name.chars().all(token) => {
                "is no name of a header"
            }
            () if RESERVED_HEADERS.contains(&&*lower) => "is set by the connection itself",
            () => continue,
        };
        let invalid = Invalid::new("invalid_header", format!("`{name}` {wrong}"));
        found.push(invalid.at(format!("{pointer}/{}", escape(name))));
    }
}

/// Renders headers; no value can contain a line break.
pub(super) fn render_headers(
    headers: &BTreeMap<String, Text<0, 4000>>,
    filling: &mut Filling<'_>,
) -> Result<Vec<(String, String)>, Invalid> {
    let mut rendered = Vec::with_capacity(headers.len());
    for (name, source) in headers {
        let Some(value) = filling.text(source)? else {
            continue;
        };
        let controls = value.chars().filter(|c| c.is_control());
        #[cfg(fuzz_planted)]
        let controls = controls.filter(char::is_ascii);
        if controls.count() > 0 {
            let message = format!("the value of the header `{name}` has control characters");
            return Err(Invalid::new("invalid_header", message));
        }
        rendered.push((name.clone(), value));
    }
    Ok(rendered)
}
