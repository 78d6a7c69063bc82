//! Templates of a tool call: every value is encoded for its position, and a secret must be the only content of
//! its tag.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    id::{AgentRunId, SessionId},
    invalid::{Invalid, MOST_VIOLATIONS, Violation},
    template::{Budget, Data, Lookup, Template},
};

/// Characters that need no encoding in a URL (RFC 3986, unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The ids of a call, by which the called server can correlate it.
#[derive(Clone, Debug)]
pub struct CallIds {
    /// The call; unique to each call.
    pub id: String,
    /// The session; none if a version is only tried.
    pub session_id: Option<SessionId>,
    /// The run; none if a version is only tried.
    pub agent_run_id: Option<AgentRunId>,
}

/// The data of templates.
#[derive(Debug)]
pub struct Values<'a> {
    /// `arguments`: from the model, validated against the schema.
    pub arguments: &'a Value,
    /// `secrets`: those that the spec names, by name.
    pub secrets: &'a BTreeMap<String, String>,
    /// `call`: `id`, `session_id`, `agent_run_id`.
    pub call: &'a CallIds,
}

/// The rendering of a call: its values, and the budget of all its templates.
pub(super) struct Filling<'a> {
    arguments: &'a Value,
    secrets: Value,
    call: Value,
    budget: Budget,
}

impl<'a> Filling<'a> {
    pub fn new(values: &Values<'a>, budget: Budget) -> Self {
        let call = json!({
            "id": values.call.id,
            "session_id": values.call.session_id,
            "agent_run_id": values.call.agent_run_id,
        });
        Self {
            arguments: values.arguments,
            secrets: json!(values.secrets),
            call,
            budget,
        }
    }

    /// Renders a template as part of a URL, its values percent-encoded.
    pub fn url(&mut self, source: &str) -> Result<String, Invalid> {
        let template = parse(source)?;
        let (data, budget) = self.parts();
        template.render(&data, budget, |text, out| {
            out.extend(utf8_percent_encode(text, ENCODED));
        })
    }

    /// Renders a template: a single expression keeps the type of its value, and gives none if it has no value;
    /// anything else gives a string.
    pub fn value(&mut self, source: &str) -> Result<Option<Value>, Invalid> {
        let template = parse(source)?;
        let (data, budget) = self.parts();
        template.value(&data, budget)
    }

    /// The same as text; none for undefined and null.
    pub fn text(&mut self, source: &str) -> Result<Option<String>, Invalid> {
        Ok(match self.value(source)? {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => Some(other.to_string()),
        })
    }

    fn parts(&mut self) -> (Data<'_>, &mut Budget) {
        let data = Data::from([
            ("arguments", self.arguments),
            ("secrets", &self.secrets),
            ("call", &self.call),
        ]);
        (data, &mut self.budget)
    }
}

/// Parses a template. The rule for secrets is checked again, as older versions may have been created under other
/// rules.
fn parse(source: &str) -> Result<Template, Invalid> {
    let template = Template::parse(source)?;
    for lookup in template.lookups() {
        check_secret(lookup)?;
    }
    Ok(template)
}

/// Conditions and filters on a secret would let an author of templates read it piece by piece.
fn check_secret(lookup: &Lookup) -> Result<(), Invalid> {
    match &*lookup.name == "secrets" && !lookup.is_alone {
        true => Err(Invalid::new(
            "unnamed_secret",
            "a tag with a secret holds its name alone: `{{ secrets.NAME }}`",
        )),
        false => Ok(()),
    }
}

/// Adds a violation if a template is invalid.
pub(super) fn check_template(
    source: &str,
    declared: Option<&BTreeSet<&str>>,
    pointer: impl AsRef<str>,
    found: &mut Vec<Violation>,
) {
    if found.len() >= MOST_VIOLATIONS {
        return;
    }
    if let Err(invalid) = check(source, declared) {
        found.push(invalid.at(pointer));
    }
}

/// Validates a template: it may use `call`, declared arguments, and secrets by name.
fn check(source: &str, declared: Option<&BTreeSet<&str>>) -> Result<(), Invalid> {
    Template::parse(source)?
        .lookups()
        .iter()
        .try_for_each(|lookup| check_lookup(lookup, declared))
}

fn check_lookup(lookup: &Lookup, declared: Option<&BTreeSet<&str>>) -> Result<(), Invalid> {
    let name = &lookup.name;
    let wrong = |code: &str, message: String| Err(Invalid::new(code, message));
    check_secret(lookup)?;
    match (&**name, lookup.field.as_deref()) {
        ("secrets", _) | ("call", Some("id" | "session_id" | "agent_run_id")) => Ok(()),
        ("arguments", None) if declared.is_none_or(|declared| !declared.is_empty()) => Ok(()),
        ("arguments", Some(argument)) if declared.is_none_or(|d| d.contains(argument)) => Ok(()),
        ("arguments", field) => {
            let field = field.map_or(String::new(), |field| format!(".{field}"));
            let message = format!("`arguments{field}` is not among the parameters");
            wrong("undeclared_argument", message)
        }
        _ => {
            let message =
                format!("`{name}` is unknown; there are `arguments`, `secrets` and `call`");
            wrong("undeclared_variable", message)
        }
    }
}

/// The names of the secrets that a template uses.
pub(super) fn secrets(source: &str) -> BTreeSet<String> {
    let Ok(template) = Template::parse(source) else {
        return BTreeSet::new();
    };
    let named = template
        .lookups()
        .iter()
        .filter(|lookup| lookup.name == "secrets");
    named.filter_map(|lookup| lookup.field.clone()).collect()
}
