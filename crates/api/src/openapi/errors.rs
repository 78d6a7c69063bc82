//! Error responses. There is one component for each status; operations refer to it and name their codes.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::references::header;
use crate::{code::Code, error::PROBLEM_JSON};

/// Codes by status.
pub(super) type Errors = BTreeMap<u16, Vec<Code>>;

/// Returns a reference to the component of a status, for an operation with these codes.
pub(super) fn reference(status: u16, codes: &[Code]) -> Value {
    json!({
        "$ref": format!("#/components/responses/{}", component_name(status)),
        "description": names(codes),
    })
}

/// Removes the description from references whose operation has all codes of the status.
pub(super) fn shorten(paths: &mut Value, errors: &Errors) {
    let items = paths.as_object_mut().into_iter().flatten();
    let operations = items.filter_map(|(_, item)| item.as_object_mut()).flatten();
    for (_, operation) in operations {
        for (status, codes) in errors {
            let response = operation.pointer_mut(&format!("/responses/{status}"));
            if let Some(Value::Object(reference)) = response
                && reference.get("description") == Some(&names(codes).into())
            {
                reference.remove("description");
            }
        }
    }
}

/// The names of the codes in alphabetical order.
fn names(codes: &[Code]) -> String {
    let mut names: Vec<_> = codes.iter().map(|c| format!("`{}`", c.name())).collect();
    names.sort();
    format!("{}.", names.join(", "))
}

/// Returns the components.
pub(super) fn components(errors: &Errors) -> Map<String, Value> {
    let components = errors.iter().map(|(status, codes)| {
        let response = response(*status, codes);
        (component_name(*status), response)
    });
    components.collect()
}

/// Adds codes that are not known yet.
pub(super) fn merge(known: &mut Errors, more: Errors) {
    for (status, codes) in more {
        let known = known.entry(status).or_default();
        for code in codes {
            if !known.contains(&code) {
                known.push(code);
            }
        }
    }
}

/// The reason of a status in one word, such as `NotFound`.
pub(super) fn component_name(status: u16) -> String {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or_default();
    reason.split(' ').collect()
}

fn response(status: u16, codes: &[Code]) -> Value {
    let titles = codes
        .iter()
        .map(|code| format!("\n- `{}`: {}", code.name(), code.title()));
    let titles: String = titles.collect();
    let mut headers = json!({
        "X-Request-Id": header("X-Request-Id"),
        "Access-Control-Allow-Origin": header("Access-Control-Allow-Origin"),
        "RateLimit": header("RateLimit"),
        "RateLimit-Policy": header("RateLimit-Policy"),
    });
    match status {
        401 => headers["WWW-Authenticate"] = header("WWW-Authenticate"),
        429 | 503 => headers["Retry-After"] = header("Retry-After"),
        _ => {}
    }
    let example = codes.first().copied().map(problem_example);
    json!({
        "description": format!("Unless the operation says which, one of these codes:\n{titles}"),
        "headers": headers,
        "content": { PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" }, "example": example } },
    })
}

fn problem_example(code: Code) -> Value {
    let status = code.status();
    let mut example = json!({
        "type": "about:blank",
        "title": code.title(),
        "status": status,
        "detail": "Explanation of this occurrence.",
        "code": code.name(),
        "request_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f11",
    });
    if status == 422 {
        example["errors"] = json!([
            { "pointer": "/name", "code": "too_short", "message": "at least 1 characters are needed" }
        ]);
    }
    example
}
