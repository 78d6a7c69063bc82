//! Prompt specs: a template, the variables it declares, and how it is rendered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    invalid::{Invalid, Violation, escape},
    template::{self, Budget, Data, Template},
    text::{Description, TemplateSource, Text, is_identifier},
};

/// Maximum characters of a rendered prompt.
pub const MAX_RENDERED: usize = 262_144;

/// A prompt: a template, the variables it declares, and an optional greeting.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({
        "template": "You help callers of {{ company }}. The caller is {{ caller }}.",
        "variables": [
            {"name": "company", "required": true},
            {"name": "caller", "required": false, "default": "unknown"}
        ],
        "greeting": "Welcome to {{ company }}!"
    }))
)]
pub struct PromptSpec {
    /// Template source in the template language (see the description of this document). It uses declared
    /// variables only.
    pub template: TemplateSource,
    /// The variables that a session may or must set.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub variables: Vec<Variable>,
    /// The first message of the agent; a template over the same variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<Text<1, 4000>>,
}

/// One declared variable of a prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "company", "required": true})))]
pub struct Variable {
    /// Name in the template: a letter or `_`, then letters, digits and `_`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: Text<1, 64>,
    /// Purpose of the variable.
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub description: Description,
    /// Whether a session must set it. A required variable has no default.
    #[serde(default)]
    pub required: bool,
    /// Value if a session sets none; empty by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Text<0, 4000>>,
}

fn str_is_empty(text: &Description) -> bool {
    text.is_empty()
}

/// The values that a session sets, by variable name.
pub type Variables = BTreeMap<String, Text<0, 4000>>;

/// A rendered prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The prompt.
    pub prompt: String,
    /// The greeting, if the spec has one.
    pub greeting: Option<String>,
}

impl PromptSpec {
    /// Validates names and templates, and that templates use declared variables only.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut violations = Vec::new();
        let mut names = BTreeSet::new();
        if self.variables.len() > 100 {
            violations.push(Invalid::new("too_many", "at most 100 variables").at("/variables"));
        }
        for (index, variable) in self.variables.iter().enumerate() {
            if let Err(invalid) = variable.check() {
                violations.push(invalid.at(format!("/variables/{index}")));
            }
            if !names.insert(&*variable.name) {
                let invalid = Invalid::new(
                    "duplicate",
                    format!("the variable `{}` is declared twice", variable.name),
                );
                violations.push(invalid.at(format!("/variables/{index}/name")));
            }
        }
        check_template(&self.template, &names, "/template", &mut violations);
        if let Some(greeting) = &self.greeting {
            check_template(greeting, &names, "/greeting", &mut violations);
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(violations)
        }
    }

    /// Renders prompt and greeting under one budget. Violations point into the map of variables.
    pub fn render(
        &self,
        given: &Variables,
        mut budget: Budget,
    ) -> Result<Rendered, Vec<Violation>> {
        let mut violations = Vec::new();
        for name in given.keys() {
            if !self.variables.iter().any(|v| *v.name == **name) {
                let invalid = Invalid::new(
                    "undeclared_variable",
                    format!("the prompt declares no variable `{name}`"),
                );
                violations.push(invalid.at(format!("/{}", escape(name))));
            }
        }
        let mut values = BTreeMap::new();
        for variable in &self.variables {
            match (given.get(&*variable.name), variable.required) {
                #[cfg(fuzz_planted)]
                (Some(value), false) if value.ends_with("  ") => {
                    values.insert(&*variable.name, Value::from(value.trim_end()))
                }
                (Some(value), _) => values.insert(&*variable.name, Value::from(&**value)),
                (None, true) => {
                    let invalid = Invalid::new(
                        "missing_variable",
                        format!("the prompt requires the variable `{}`", variable.name),
                    );
                    violations.push(invalid.at(format!("/{}", variable.name)));
                    None
                }
                (None, false) => {
                    let default = variable.default.as_deref().unwrap_or_default();
                    values.insert(&*variable.name, Value::from(default))
                }
            };
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        let data = values.iter().map(|(name, value)| (*name, value)).collect();
        let mut run = |source: &str| {
            render(source, &data, &mut budget).map_err(|invalid| vec![invalid.at(String::new())])
        };
        Ok(Rendered {
            prompt: run(&self.template)?,
            greeting: self.greeting.as_deref().map(&mut run).transpose()?,
        })
    }
}

impl Variable {
    fn check(&self) -> Result<(), Invalid> {
        if !is_identifier(&self.name) {
            return Err(Invalid::new(
                "invalid_name",
                "a variable's name is a letter or _, then letters, digits and _",
            ));
        }
        if self.required && self.default.is_some() {
            return Err(Invalid::new(
                "required_with_default",
                "a required variable has no default",
            ));
        }
        Ok(())
    }
}

fn check_template(
    source: &str,
    declared: &BTreeSet<&str>,
    pointer: &str,
    violations: &mut Vec<Violation>,
) {
    let template = match Template::parse(source) {
        Ok(template) => template,
        Err(invalid) => return violations.push(invalid.at(pointer)),
    };
    let used: BTreeSet<_> = template
        .lookups()
        .iter()
        .map(|lookup| &*lookup.name)
        .collect();
    for name in used.difference(declared) {
        let message = format!("the template uses `{name}`, which is not declared");
        violations.push(Invalid::new("undeclared_variable", message).at(pointer));
    }
}

fn render(source: &str, data: &Data<'_>, budget: &mut Budget) -> Result<String, Invalid> {
    let text = Template::parse(source)?.render(data, budget, template::plain)?;
    if text.chars().count() > MAX_RENDERED {
        return Err(Invalid::new(
            "rendered_too_long",
            format!("the rendered prompt has more than {MAX_RENDERED} characters"),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> PromptSpec {
        serde_json::from_value(value).unwrap()
    }

    fn codes(result: Result<(), Vec<Violation>>) -> Vec<(String, String)> {
        let violations = result.unwrap_err();
        violations
            .into_iter()
            .map(|v| (v.pointer, v.code))
            .collect()
    }

    fn variables(value: Value) -> Variables {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn renders_given_and_default_values() {
        let spec = spec(json!({
            "template": "{{ company }}/{{ caller }}",
            "variables": [{"name": "company", "required": true}, {"name": "caller", "default": "?"}],
            "greeting": "Hi {{ caller }}"
        }));
        spec.check().unwrap();
        let rendered = spec
            .render(&variables(json!({"company": "Acme"})), Budget::until(None))
            .unwrap();
        assert_eq!(rendered.prompt, "Acme/?");
        assert_eq!(rendered.greeting.as_deref(), Some("Hi ?"));
    }

    #[test]
    fn names_what_is_missing_and_what_is_undeclared() {
        let spec =
            spec(json!({"template": "{{ a }}", "variables": [{"name": "a", "required": true}]}));
        let violations = spec
            .render(&variables(json!({"b/c": "x"})), Budget::until(None))
            .unwrap_err();
        let found: Vec<_> = violations.iter().map(|v| (&*v.pointer, &*v.code)).collect();
        assert_eq!(
            found,
            [("/b~1c", "undeclared_variable"), ("/a", "missing_variable")]
        );
    }

    #[test]
    fn refuses_templates_that_cannot_work() {
        let undeclared = spec(json!({"template": "{{ a }}"}));
        assert_eq!(
            codes(undeclared.check()),
            [("/template".into(), "undeclared_variable".into())]
        );
        let broken = spec(json!({"template": "{% if %}"}));
        assert_eq!(
            codes(broken.check()),
            [("/template".into(), "invalid_template".into())]
        );
        let twice = spec(json!({"template": "x", "variables": [{"name": "a"}, {"name": "a"}]}));
        assert_eq!(
            codes(twice.check()),
            [("/variables/1/name".into(), "duplicate".into())]
        );
    }
}
