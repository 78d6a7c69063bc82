//! Templates of a call: every value is encoded for the place where it stands.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{
    Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
    value::{Serde, ValueKind},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{AgentRunId, Invalid, SessionId, prompt::template_error};

/// Instructions that one template may take; ends loops that would never end.
const FUEL: u64 = 10_000;
/// What needs no encoding in a URL (RFC 3986, unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where a template's values stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In path, query or fragment of a URL: percent-encoded.
    Url,
    /// In a text that is encoded as a whole afterwards.
    Text,
}

/// The ids of a call, for the called to know it again.
#[derive(Clone, Debug)]
pub struct CallIds {
    /// The call: another one each time.
    pub id: String,
    /// The session; none when a version is tried.
    pub session_id: Option<SessionId>,
    /// The run; none when a version is tried.
    pub agent_run_id: Option<AgentRunId>,
}

/// What templates are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `arguments`: what the model gave, checked against the schema.
    pub arguments: &'a serde_json::Value,
    /// `secrets`: those that the spec names, by name.
    pub secrets: &'a BTreeMap<String, String>,
    /// `call`: `id`, `session_id`, `agent_run_id`.
    pub call: &'a CallIds,
}

impl Values<'_> {
    fn context(&self) -> Value {
        context! {
            arguments => Value::from(Serde(self.arguments)),
            secrets => Value::from(Serde(self.secrets)),
            call => context! {
                id => &self.call.id,
                session_id => self.call.session_id.map(|id| id.to_string()),
                agent_run_id => self.call.agent_run_id.map(|id| id.to_string()),
            },
        }
    }
}

fn environment(place: Place) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(move |out, _: &mut State<'_, '_>, value| write(out, place, value));
    environment
}

fn write(out: &mut Output<'_>, place: Place, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::Undefined => {
            return Err(Error::new(ErrorKind::UndefinedError, "a value is missing"));
        }
        ValueKind::None => String::new(),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => serde_json::to_string(value)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?,
        _ => value.to_string(),
    };
    let written = match place {
        Place::Url => write!(out, "{}", utf8_percent_encode(&text, ENCODED)),
        Place::Text => out.write_str(&text),
    };
    written.map_err(Error::from)
}

/// The expression of a template that is nothing else: its value keeps its type, and may be missing.
fn sole_expression(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let plain = !inner.contains("{{") && !inner.contains("}}") && !inner.contains("{%");
    plain.then(|| inner.trim_matches('-').trim())
}

/// The names that a template looks up, such as `arguments.number`.
fn names(source: &str) -> Result<BTreeSet<String>, Invalid> {
    let environment = environment(Place::Text);
    let template = environment.template_from_str(source);
    let template =
        template.map_err(|error| Invalid::new("invalid_template", template_error(&error)))?;
    let globals: BTreeSet<_> = environment.globals().map(|(name, _)| name).collect();
    let mut names: BTreeSet<_> = template.undeclared_variables(true).into_iter().collect();
    names.retain(|name| !globals.contains(&**name));
    Ok(names)
}

/// Checks a template: it looks up `call`, declared arguments, and secrets by their names alone.
pub(super) fn check(source: &str, declared: Option<&BTreeSet<&str>>) -> Result<(), Invalid> {
    for name in names(source)? {
        let mut parts = name.split('.');
        let wrong = match (parts.next().unwrap_or_default(), parts.next()) {
            ("secrets", Some(_)) | ("call", Some("id" | "session_id" | "agent_run_id")) => None,
            ("secrets", None) => Some((
                "unnamed_secret",
                "a secret is named where it is used: `secrets.NAME`".to_owned(),
            )),
            ("arguments", None) if declared.is_none_or(|declared| !declared.is_empty()) => None,
            ("arguments", Some(argument)) if declared.is_none_or(|d| d.contains(argument)) => None,
            ("arguments", _) => Some((
                "undeclared_argument",
                format!("`{name}` is not among the parameters"),
            )),
            _ => Some((
                "undeclared_variable",
                format!("`{name}` is unknown; there are `arguments`, `secrets` and `call`"),
            )),
        };
        if let Some((code, message)) = wrong {
            return Err(Invalid::new(code, message));
        }
    }
    Ok(())
}

/// The names of the secrets that a template uses.
pub(super) fn secrets(source: &str) -> BTreeSet<String> {
    let names = names(source).unwrap_or_default();
    let name = |name: &String| {
        let (root, rest) = name.split_once('.')?;
        let name = rest.split('.').next().unwrap_or_default();
        (root == "secrets").then(|| name.to_owned())
    };
    names.iter().filter_map(name).collect()
}

/// The template filled in.
pub(super) fn render(source: &str, place: Place, values: &Values<'_>) -> Result<String, Invalid> {
    let environment = environment(place);
    environment
        .template_from_str(source)
        .and_then(|template| template.render(values.context()))
        .map_err(|error| failed(&error))
}

/// The value of a template: of its own type where it is a sole expression, and none where that has no
/// value; a text otherwise.
pub(super) fn evaluate(
    source: &str,
    values: &Values<'_>,
) -> Result<Option<serde_json::Value>, Invalid> {
    let Some(expression) = sole_expression(source) else {
        return Ok(Some(render(source, Place::Text, values)?.into()));
    };
    let environment = environment(Place::Text);
    let value = environment
        .compile_expression(expression)
        .and_then(|expression| expression.eval(values.context()))
        .map_err(|error| failed(&error))?;
    if value.is_undefined() {
        return Ok(None);
    }
    let value = serde_json::to_value(&value);
    value
        .map(Some)
        .map_err(|error| Invalid::new("render_failed", error.to_string()))
}

/// The same as text; none where there is no value or null.
pub(super) fn text(source: &str, values: &Values<'_>) -> Result<Option<String>, Invalid> {
    Ok(match evaluate(source, values)? {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    })
}

/// Words of an error; never with values, which may be secrets.
fn failed(error: &Error) -> Invalid {
    Invalid::new(
        "render_failed",
        format!("a template cannot be filled in: {}", error.kind()),
    )
}
