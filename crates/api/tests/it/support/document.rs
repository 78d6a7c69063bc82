//! The OpenAPI document, and validation of responses against it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| patchbay_api::routes::api().document());

/// The document that the code generates.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The paths, with shared parameters and responses in place of the references to them.
static PATHS: LazyLock<Value> = LazyLock::new(|| {
    let mut paths = document()["paths"].clone();
    let items = paths.as_object_mut().unwrap().values_mut();
    for operation in items.flat_map(|item| item.as_object_mut().unwrap().values_mut()) {
        let parameters = operation.get_mut("parameters");
        let parameters = parameters.and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(resolve);
        let responses = operation["responses"].as_object_mut().unwrap();
        responses.values_mut().for_each(resolve);
    }
    paths
});

/// Replaces a reference by what it refers to, and keeps a description beside it.
fn resolve(value: &mut Value) {
    let Some(target) = value["$ref"].as_str() else {
        return;
    };
    let mut found = document()
        .pointer(target.trim_start_matches('#'))
        .unwrap_or_else(|| panic!("{target} leads nowhere"))
        .clone();
    if let Some(description) = value.get("description") {
        found["description"] = description.clone();
    }
    *value = found;
}

/// The example of a body, or that of its schema.
pub fn example(media: &Value) -> Option<&Value> {
    let schema = media["schema"]["$ref"].as_str();
    let schema = schema.and_then(|at| document().pointer(at.trim_start_matches('#')));
    let own = media.get("example");
    own.or_else(|| schema?.get("example"))
}

/// Every operation: method, path template, description.
pub fn operations() -> Vec<(String, String, &'static Value)> {
    let paths = PATHS.as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, op)| (method.to_uppercase(), path.clone(), op))
        })
        .collect()
}

/// The operation that serves a request.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let matches = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) =
            (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template
                .iter()
                .zip(&path)
                .all(|(t, p)| t.starts_with('{') || t == p)
    };
    let paths = PATHS.as_object().unwrap();
    // A fixed segment takes precedence over a parameter.
    let mut found: Vec<_> = paths
        .iter()
        .filter(|(template, _)| matches(template))
        .collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let (_, item) = found.first()?;
    item.get(method.as_str().to_lowercase())
}

/// Panics if a response does not match the document. An error of an unknown operation must be a problem document,
/// too.
pub fn validate(method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &Value) {
    let media = headers
        .get("content-type")
        .map_or("", |value| value.to_str().unwrap_or_default())
        .split(';')
        .next()
        .unwrap_or_default();
    let Some(operation) = operation(method, path) else {
        let is_page = path.starts_with("/docs") || path.starts_with("/openapi.json");
        if status >= 400 && *method != Method::HEAD && !is_page {
            assert_eq!(
                media, "application/problem+json",
                "{method} {path}: {status}"
            );
            check(
                &json!({ "$ref": "#/components/schemas/Problem" }),
                body,
                path,
            );
        }
        return;
    };
    let response = &operation["responses"][status.to_string()];
    assert!(
        !response.is_null(),
        "{method} {path}: {status} is not documented: {body}"
    );
    for (name, _) in response["headers"].as_object().into_iter().flatten() {
        let required = &document()["components"]["headers"][name]["required"];
        assert!(
            *required == json!(false) || headers.contains_key(name),
            "{method} {path}: {status} without {name}"
        );
    }
    match response["content"].as_object() {
        Some(content) => {
            if media == "application/problem+json" && *method != Method::HEAD {
                check_codes(body);
            }
            let described = content.get(media);
            let described = described.unwrap_or_else(|| {
                panic!("{method} {path}: {status} as {media} is not documented")
            });
            check(
                &described["schema"],
                body,
                &format!("{method} {path}: {status}"),
            );
        }
        None => assert!(
            body.is_null(),
            "{method} {path}: {status} with an undocumented body"
        ),
    }
}

/// Panics unless the codes of an error are published.
pub fn check_codes(problem: &Value) {
    let known = |code: &Value, schema: &str| {
        let published = document()["components"]["schemas"][schema]["enum"].as_array();
        assert!(
            published.unwrap().contains(code),
            "{schema} {code}: {problem}"
        );
    };
    known(&problem["code"], "ErrorCode");
    for violation in problem["errors"].as_array().into_iter().flatten() {
        known(&violation["code"], "ViolationCode");
    }
}

/// Compiled validators by schema: compiling one takes longer than most requests.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn validator(schema: &Value) -> Arc<Validator> {
    let made = || {
        let mut schema = schema.clone();
        schema["components"] = document()["components"].clone();
        Arc::new(jsonschema::draft202012::new(&schema).unwrap())
    };
    let mut known = VALIDATORS.lock().unwrap();
    Arc::clone(known.entry(schema.to_string()).or_insert_with(made))
}

/// Panics if `value` is not valid under `schema`, which may refer to the document.
pub fn check(schema: &Value, value: &Value, what: &str) {
    let validator = validator(schema);
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{what} is not what the document says: {errors:#?}\n{value}"
    );
}
