//! HTTP requests of tools, rendered from arguments of a model and secrets that the model must not see.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use patchbay_domain::{
    template::Budget,
    tool::{CallIds, Destination, HttpRequest, ToolSpec, Values},
};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use crate::input::json;

const ORIGIN: &str = "https://shop.example.org:8443";
/// The prefix consists of characters that no encoding changes.
const SECRETS: [(&str, &str); 2] = [("ONE", "5ecretONE <&/?#%41\"é="), ("TWO", "5ecretTWO")];
const TAGS: [&str; 7] = [
    "{{ arguments.a }}",
    "{{ arguments.b }}",
    "{{ arguments.a }}{{ arguments.b }}",
    "{{ call.id }}",
    "{{ secrets.ONE }}",
    "{{ secrets.TWO }}",
    "{% if arguments.a %}x{% endif %}",
];
const LITERALS: [&str; 10] = ["x", " ", "/", "-", ".", "@", ":", "é", "%2e", "&"];

/// A tool from any bytes; and the same as JSON, with any arguments.
pub fn target(data: &[u8]) {
    // If the spec itself contains the secret's text, the check is meaningless.
    if data.windows(6).any(|letters| letters == b"5ecret") {
        return;
    }
    if let Ok(spec) = serde_json::from_slice::<ToolSpec>(data) {
        let _ = render(
            &spec,
            &json!({ "a": "../x\r\ny: z", "b": ["@evil.example", 1] }),
        );
    }
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let arguments = json!({ "a": json(u, 2)?, "b": u.arbitrary::<String>()? });
    if arguments.to_string().contains("5ecret") {
        return Ok(());
    }
    let mut http = json!({
        "url": format!("{ORIGIN}/base/{}{}{}", template(u)?, u.choose(&["?", "#", "/", ""])?, template(u)?),
        "headers": { "x-one": template(u)?, "x-two": template(u)? },
        "query": { "q": template(u)?, "r": template(u)? },
    });
    let body = u.int_in_range(0..=2)?;
    if body > 0 {
        http["method"] = "POST".into();
        http[["json", "form"][body - 1]] = json!({ "f": template(u)?, "g": template(u)? });
    }
    let parameters = json!({ "type": "object", "properties": { "a": {}, "b": {} } });
    let spec =
        json!({ "function_name": "f", "description": "d", "parameters": parameters, "http": http });
    let Ok(spec) = serde_json::from_value::<ToolSpec>(spec) else {
        return Ok(());
    };
    if let Some(request) = render(&spec, &arguments) {
        entries(&http, &request);
    }
    Ok(())
}

fn template(u: &mut Unstructured<'_>) -> Result<String> {
    let mut template = String::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let pieces: &[&str] = if u.arbitrary()? { &TAGS } else { &LITERALS };
        template.push_str(u.choose(pieces)?);
    }
    Ok(template)
}

/// The request, if the tool is valid and these arguments can be rendered; its origin is checked in any case.
fn render(spec: &ToolSpec, arguments: &Value) -> Option<HttpRequest> {
    spec.check().ok()?;
    let secrets = SECRETS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let secrets = BTreeMap::from(secrets);
    let call = CallIds {
        id: "call-1".to_owned(),
        session_id: None,
        agent_run_id: None,
    };
    let values = Values {
        arguments,
        secrets: &secrets,
        call: &call,
    };
    let http = spec.http.as_ref()?;
    let Destination {
        url: origin,
        secrets: named,
        ..
    } = spec.destination()?;
    let request = http.render(&values, Budget::until(None));
    if let Err(invalid) = &request {
        assert!(!invalid.message.contains("5ecret"), "{invalid}");
    }
    let request = request.ok()?;
    let url = Url::parse(&request.url).expect("is a URL");
    assert_eq!(url.origin(), origin.origin(), "{url}");
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{url}"
    );
    for (name, value) in &request.headers {
        let is_declared = http.headers.contains_key(name) || name == "content-type";
        assert!(is_declared, "the header {name}");
        assert!(!value.contains(char::is_control), "{name}: {value:?}");
    }
    for (name, value) in SECRETS {
        let said = format!("{request:?}");
        assert!(
            named.contains(name) || !said.contains(&value[..9]),
            "{name} is nowhere asked for"
        );
    }
    Some(request)
}

/// Every value is in its own entry, and secrets only in the entry of their tag.
fn entries(http: &Value, request: &HttpRequest) {
    let url = Url::parse(&request.url).expect("is a URL");
    assert!(url.path().starts_with("/base/"), "{url}");
    secret(
        &http["url"],
        &url[url::Position::BeforePath..url::Position::AfterPath],
    );
    for (name, value) in &request.headers {
        secret(&http["headers"][name], value);
    }
    for (name, value) in url.query_pairs() {
        // Those of the URL itself depend on its templates.
        let source = http["query"].get(&*name).unwrap_or(&http["url"]);
        if !http["url"].as_str().is_some_and(|url| url.contains('?')) {
            assert!(http["query"].get(&*name).is_some(), "{name} in {url}");
            secret(source, &value);
        }
    }
    let sources = |kind: &str| http[kind].as_object().cloned().unwrap_or_default();
    let (json, form) = (sources("json"), sources("form"));
    if !json.is_empty() {
        let body: Map<String, Value> = serde_json::from_slice(&request.body).expect("is JSON");
        for (name, value) in body {
            secret(json.get(&name).expect("was asked for"), &value.to_string());
        }
    } else if !form.is_empty() {
        for (name, value) in form_urlencoded::parse(&request.body) {
            secret(form.get(&*name).expect("was asked for"), &value);
        }
    } else {
        assert!(request.body.is_empty());
    }
}

fn secret(source: &Value, value: &str) {
    for (name, secret) in SECRETS {
        let tag = format!("{{{{ secrets.{name} }}}}");
        let has_tag = source.as_str().is_some_and(|source| source.contains(&tag));
        assert!(
            has_tag || !value.contains(&secret[..9]),
            "{name} in {value}, of {source}"
        );
    }
}
