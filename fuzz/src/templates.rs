//! Prompt templates.

use std::{collections::BTreeMap, fmt::Write as _};

use arbitrary::{Result, Unstructured};
use patchbay_domain::{
    prompt::{MAX_RENDERED, PromptSpec},
    template::Budget,
};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["a", "b", "c"];
const LITERALS: [&str; 8] = ["x", " ", "\n", "}", "%", "#", "é<&>\"", "a | b"];

/// Any text as a template; and a template whose output is known.
pub fn target(data: &[u8]) {
    if let Ok(source) = std::str::from_utf8(data) {
        any(source);
    }
    let _ = known(&mut Unstructured::new(data));
}

/// The prompt with values for `a` and `b`; none if the template is invalid.
fn rendered(
    source: &str,
    given: &BTreeMap<&str, String>,
) -> Option<std::result::Result<String, Vec<String>>> {
    let declared: Vec<_> = NAMES
        .map(|name| json!({ "name": name, "default": "?" }))
        .into();
    let spec = json!({ "template": source, "variables": declared });
    let spec: PromptSpec = serde_json::from_value(spec).ok()?;
    let given = serde_json::from_value(json!(given)).ok()?;
    spec.check().ok()?;
    Some(match spec.render(&given, Budget::until(None)) {
        Ok(rendered) => Ok(rendered.prompt),
        Err(found) => Err(found.into_iter().map(|violation| violation.code).collect()),
    })
}

/// Rendering of a valid template terminates within its bounds, and is deterministic.
fn any(source: &str) {
    let given = BTreeMap::from([("a", "<A>".to_owned()), ("b", String::new())]);
    let Some(outcome) = rendered(source, &given) else {
        return;
    };
    match &outcome {
        Ok(text) => assert!(text.chars().count() <= MAX_RENDERED, "too long: {source}"),
        Err(codes) => assert!(!codes.is_empty(), "refused without a reason: {source}"),
    }
    assert_eq!(
        rendered(source, &given).as_ref(),
        Some(&outcome),
        "{source}"
    );
    if !source.contains('{') {
        let text = outcome.expect("a text without tags is rendered");
        assert_eq!(text.trim_end_matches('\n'), source.trim_end_matches('\n'));
    }
}

/// Texts, values and conditions.
fn known(u: &mut Unstructured<'_>) -> Result<()> {
    let mut given = BTreeMap::new();
    for name in NAMES {
        if u.arbitrary()? {
            let value: String = u.arbitrary()?;
            let printable = |c: &char| !c.is_control() || *c == '\n';
            given.insert(name, value.chars().filter(printable).take(50).collect());
        }
    }
    let value = |name: &str| given.get(name).map_or("?", String::as_str);
    let (mut source, mut expected) = (String::new(), String::new());
    for _ in 0..u.int_in_range(0..=8)? {
        let (name, literal) = (*u.choose(&NAMES)?, *u.choose(&LITERALS)?);
        let written = match u.int_in_range(0..=4)? {
            0 => write!(source, "{{{{{name}}}}}").map(|()| value(name)),
            1 => write!(source, "{{{{ {name} }}}}").map(|()| value(name)),
            2 => {
                let (other, is_set) = (*u.choose(&NAMES)?, !value(name).is_empty());
                let tag = format!("{{% if {name} %}}[{{{{ {other} }}}}]{{% else %}}-{{% endif %}}");
                source.push_str(&tag);
                match is_set {
                    true => write!(expected, "[{}]", value(other)).map(|()| ""),
                    false => Ok("-"),
                }
            }
            _ => write!(source, "{literal}").map(|()| literal),
        };
        expected.push_str(written.unwrap_or_default());
    }
    // A newline at the end of a template is removed.
    source.push('.');
    expected.push('.');
    let spec = json!({ "template": source, "given": given });
    let outcome = rendered(&source, &given);
    assert_eq!(outcome, Some(Ok(expected)), "{}", Value::to_string(&spec));
    Ok(())
}
