//! What many operations share becomes a component: parameters, and responses without a body.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::errors;

/// Number of uses from which something is a component.
const SHARED: usize = 3;

/// Something that may be shared, with the name of its component.
type Visit<'a> = &'a mut dyn FnMut(String, &mut Value);

/// Replaces shared parameters by references; returns the components.
pub(super) fn parameters(paths: &mut Value) -> Map<String, Value> {
    share(paths, "parameters", |operation, visit| {
        let parameters = operation.get_mut("parameters");
        let parameters = parameters.and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            visit(parameter_name(parameter), parameter);
        }
    })
}

/// Replaces shared responses without a body by references; returns the components.
pub(super) fn responses(paths: &mut Value) -> Map<String, Value> {
    share(paths, "responses", |operation, visit| {
        let responses = operation.get_mut("responses");
        let responses = responses.and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            let is_empty = response.get("content").is_none() && response.get("$ref").is_none();
            if let Some(status) = status.parse().ok().filter(|_| is_empty) {
                visit(errors::component_name(status), response);
            }
        }
    })
}

/// Replaces what is shared by references; returns the components. Of those with the same name, the most frequent one
/// is shared.
fn share(
    paths: &mut Value,
    kind: &str,
    for_each: impl Fn(&mut Value, Visit<'_>),
) -> Map<String, Value> {
    let mut uses: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for operation in operations(paths) {
        for_each(operation, &mut |name, value| {
            let variants = uses.entry(name).or_default();
            *variants.entry(value.to_string()).or_default() += 1;
        });
    }
    let shared: BTreeMap<_, _> = uses
        .into_iter()
        .filter_map(|(name, variants)| {
            let (text, count) = variants.into_iter().max_by_key(|(_, count)| *count)?;
            (count >= SHARED).then_some((text, name))
        })
        .collect();
    let mut components = Map::new();
    for operation in operations(paths) {
        for_each(operation, &mut |_, value| {
            if let Some(name) = shared.get(&value.to_string()) {
                let reference = json!({ "$ref": format!("#/components/{kind}/{name}") });
                components.insert(name.clone(), std::mem::replace(value, reference));
            }
        });
    }
    components
}

/// The name of a parameter without separators, such as `IfMatch` or `TenantId`.
fn parameter_name(parameter: &Value) -> String {
    let name = parameter["name"].as_str().unwrap_or_default();
    let words = name.split(['-', '_']).map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        first.to_uppercase() + rest
    });
    words.collect()
}

fn operations(paths: &mut Value) -> impl Iterator<Item = &mut Value> {
    let items = paths.as_object_mut().into_iter().flatten();
    items
        .filter_map(|(_, item)| item.as_object_mut())
        .flatten()
        .map(|(_, operation)| operation)
}
