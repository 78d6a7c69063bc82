//! Parameters that many operations share become components.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Number of uses from which a parameter is a component.
const SHARED: usize = 3;

/// Replaces shared parameters of all operations by references; returns the components. Of parameters with the same
/// name, the most frequent one is shared.
pub(super) fn share(paths: &mut Value) -> Value {
    let mut uses: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for_each(paths, |parameter| {
        let variants = uses.entry(component_name(parameter)).or_default();
        *variants.entry(parameter.to_string()).or_default() += 1;
    });
    let shared: BTreeMap<_, _> = uses
        .into_iter()
        .filter_map(|(name, variants)| {
            let (text, count) = variants.into_iter().max_by_key(|(_, count)| *count)?;
            (count >= SHARED).then_some((text, name))
        })
        .collect();
    let mut components = Map::new();
    for_each(paths, |parameter| {
        if let Some(name) = shared.get(&parameter.to_string()) {
            let reference = json!({ "$ref": format!("#/components/parameters/{name}") });
            components.insert(name.clone(), std::mem::replace(parameter, reference));
        }
    });
    Value::Object(components)
}

/// The name of a parameter without separators, such as `IfMatch` or `TenantId`.
fn component_name(parameter: &Value) -> String {
    let name = parameter["name"].as_str().unwrap_or_default();
    let words = name.split(['-', '_']).map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        first.to_uppercase() + rest
    });
    words.collect()
}

fn for_each(paths: &mut Value, mut visit: impl FnMut(&mut Value)) {
    let items = paths.as_object_mut().into_iter().flatten();
    let operations = items.filter_map(|(_, item)| item.as_object_mut()).flatten();
    for (_, operation) in operations {
        if let Some(parameters) = operation.get_mut("parameters") {
            parameters
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(&mut visit);
        }
    }
}
