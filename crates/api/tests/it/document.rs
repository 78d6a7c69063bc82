//! The OpenAPI document itself: complete, unique ids, and valid examples.

use serde_json::{Value, json};

use super::support::{document, example, operations};

#[test]
fn every_operation_is_described() {
    let mut ids = Vec::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        let camel = id.chars().all(char::is_alphanumeric) && id.starts_with(char::is_lowercase);
        assert!(camel, "{id}");
        assert!(!ids.contains(&id), "{id} twice");
        ids.push(id);
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{id}");
        for text in ["summary", "description"] {
            assert!(operation[text].as_str().unwrap().len() > 5, "{id}: {text}");
        }
        assert!(operation["security"].is_array(), "{method} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                !response["description"].as_str().unwrap().is_empty(),
                "{id}: {status}"
            );
        }
    }
}

#[test]
fn every_property_is_described() {
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        for (property, value) in schema["properties"].as_object().into_iter().flatten() {
            assert!(value["description"].is_string(), "{name}.{property}");
        }
    }
    for (_, path, operation) in operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{path}: {parameter}");
        }
    }
}

#[test]
fn every_example_is_valid() {
    let mut count = 0;
    for (_, path, operation) in operations() {
        let bodies = operation["responses"].as_object().unwrap().values();
        for body in bodies.chain([&operation["requestBody"]]) {
            for media in body["content"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(_, m)| m)
            {
                let example = example(media);
                let example =
                    example.unwrap_or_else(|| panic!("{path}: a body without an example"));
                super::support::check(&media["schema"], example, &path);
                count += 1;
            }
        }
    }
    assert!(count > 200, "only {count} examples");
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value) {
        if let Some(target) = value["$ref"].as_str() {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document().pointer(pointer).is_some(), "{target}");
        }
        match value {
            Value::Object(fields) => fields.values().for_each(walk),
            Value::Array(items) => items.iter().for_each(walk),
            _ => {}
        }
    }
    walk(document());
    assert_eq!(document()["openapi"], json!("3.1.0"));
}
