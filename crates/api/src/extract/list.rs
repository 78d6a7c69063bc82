//! Query parameters of lists: page and filters. Unknown parameters are refused.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use patchbay_domain::{Cursor, Invalid, Violation, invalid::escape};
use patchbay_persistence::Window;
use patchbay_service::{Code, Error, Result};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::validation::{RequestSchema, RequestSchemas};
use crate::{
    error::ApiError,
    openapi::{Describe, Operation},
};

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;
/// Pattern of cursors.
pub const CURSOR: &str = "^[0-9a-f-]{36}$";

/// Page and filters of a list, which is counted too if the client wants that and `COUNTED` allows it.
pub struct List<F, const COUNTED: bool = false> {
    /// The requested page.
    pub window: Window,
    /// The filters.
    pub filter: F,
}

/// A list without filters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

impl<F: DeserializeOwned + ToSchema + 'static, const COUNTED: bool> FromRequest
    for List<F, COUNTED>
{
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request).map_err(ApiError::from))
    }
}

/// Query parameters other than those of a page.
pub struct Query<F>(pub F);

impl<F: DeserializeOwned + ToSchema + 'static> FromRequest for Query<F> {
    type Error = ApiError;
    type Future = Ready<std::result::Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_query(request).map(Self).map_err(ApiError::from))
    }
}

impl<F: ToSchema> Describe for Query<F> {
    fn describe(operation: &mut Operation) {
        operation.filters::<F>();
        operation.error(Code::ValidationFailed);
    }
}

fn parse_query<F: DeserializeOwned + ToSchema + 'static>(request: &HttpRequest) -> Result<F> {
    let schema = RequestSchemas::of_query::<F>(request)?;
    let (rest, violations) = collect(request.query_string(), &schema)?;
    parse_filter(&schema, rest, violations)
}

/// Collects the parameters by name.
fn collect(query: &str, schema: &RequestSchema) -> Result<(Map<String, Value>, Vec<Violation>)> {
    let (mut rest, mut violations) = (Map::new(), Vec::new());
    for (name, value) in parameters(query)? {
        insert(
            &mut rest,
            &mut violations,
            (&name, schema.is_list(&name)),
            value,
        );
    }
    Ok((rest, violations))
}

/// Decodes the parameters. Invalid UTF-8 is refused rather than replaced.
fn parameters(query: &str) -> Result<Vec<(String, String)>> {
    if percent_decode_str(query).decode_utf8().is_err() {
        let message = "the percent-encoded query must be UTF-8";
        return Err(Error::invalid_at("", Invalid::new("not_utf8", message)));
    }
    let parameters = url::form_urlencoded::parse(query.as_bytes());
    Ok(parameters.into_owned().collect())
}

/// Adds a parameter, to a list if it may be repeated. Other duplicates are refused, and NUL, which no stored value
/// contains.
fn insert(
    rest: &mut Map<String, Value>,
    violations: &mut Vec<Violation>,
    (name, is_list): (&str, bool),
    value: String,
) {
    let pointer = format!("/{}", escape(name));
    if name.contains('\0') || value.contains('\0') {
        let invalid = Invalid::new("control_character", "NUL is not allowed");
        violations.push(invalid.at(pointer));
        return;
    }
    let value = Value::String(value);
    match rest.get_mut(name) {
        Some(Value::Array(list)) => list.push(value),
        Some(_) => violations.push(invalid_value(&pointer, "the parameter is repeated")),
        None if is_list => {
            rest.insert(name.to_owned(), Value::Array(vec![value]));
        }
        None => {
            rest.insert(name.to_owned(), value);
        }
    }
}

fn parse_filter<F: DeserializeOwned>(
    schema: &RequestSchema,
    rest: Map<String, Value>,
    mut found: Vec<Violation>,
) -> Result<F> {
    let rest = Value::Object(rest);
    found.extend(schema.violations(&rest));
    if !found.is_empty() {
        return Err(Error::invalid(found));
    }
    serde_path_to_error::deserialize(rest).map_err(|error| {
        let at = format!("/{}", escape(&error.path().to_string()));
        Error::invalid_at(&at, Invalid::parse(&error.into_inner().to_string()))
    })
}

fn parse<F: DeserializeOwned + ToSchema + 'static, const COUNTED: bool>(
    request: &HttpRequest,
) -> Result<List<F, COUNTED>> {
    let schema = RequestSchemas::of_query::<F>(request)?;
    let (mut rest, mut violations) = collect(request.query_string(), &schema)?;
    let mut window = Window {
        limit: DEFAULT_LIMIT,
        before: None,
        count: false,
    };
    let mut take = |name: &str| match rest.remove(name) {
        Some(Value::String(value)) => Some(value),
        _ => None,
    };
    if let Some(limit) = take("limit") {
        match limit.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => window.limit = limit,
            _ => {
                let message = format!("1 to {MAX_LIMIT} is allowed");
                violations.push(Invalid::new("out_of_range", message).at("/limit"));
            }
        }
    }
    if let Some(cursor) = take("cursor") {
        match cursor.parse::<Cursor>() {
            Ok(cursor) => window.before = Some(cursor.id()),
            Err(invalid) => violations.push(invalid.at("/cursor")),
        }
    }
    if COUNTED && let Some(count) = take("count") {
        match count.parse() {
            Ok(count) => window.count = count,
            Err(_) => violations.push(invalid_value("/count", "`true` or `false` is allowed")),
        }
    }
    let filter = parse_filter(&schema, rest, violations)?;
    Ok(List { window, filter })
}

fn invalid_value(pointer: &str, message: &str) -> Violation {
    Invalid::new("invalid_value", message).at(pointer)
}

impl<F: ToSchema, const COUNTED: bool> Describe for List<F, COUNTED> {
    fn describe(operation: &mut Operation) {
        operation.parameter(json!({
            "name": "limit", "in": "query", "required": false,
            "description": "Maximum number of items on the page.",
            "schema": { "type": "integer", "format": "int32", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT },
            "example": 20,
        }));
        operation.parameter(json!({
            "name": "cursor", "in": "query", "required": false,
            "description": "`next_cursor` of the previous page.",
            "schema": { "type": "string", "maxLength": 36, "pattern": CURSOR },
            "example": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10",
        }));
        if COUNTED {
            operation.parameter(json!({
                "name": "count", "in": "query", "required": false,
                "description": "Whether `total` is returned: the number of items on all pages.",
                "schema": { "type": "boolean", "default": false }, "example": true,
            }));
        }
        operation.filters::<F>();
        operation.error(Code::ValidationFailed);
    }
}
