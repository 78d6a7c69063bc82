use super::*;

#[test]
fn schemas_cannot_reach_out_or_take_for_ever() {
    let doubling: Map<String, Value> = (0..40)
        .map(|n| {
            let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
            (format!("d{n}"), json!({ "allOf": [next, next] }))
        })
        .chain([("d40".to_owned(), json!({ "type": "string" }))])
        .collect();
    let chain: Map<String, Value> = (0..900)
        .map(|n| {
            let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
            (format!("d{n}"), json!({ "properties": { "a": next } }))
        })
        .chain([("d900".to_owned(), json!({ "type": "string" }))])
        .collect();
    let patterns: Map<String, Value> = (0..51).map(|n| (format!("^{n}"), json!(true))).collect();
    for (schema, pointer, code) in [
        (
            json!({ "type": "string" }),
            "/parameters/type",
            "not_an_object",
        ),
        (json!({}), "/parameters/type", "not_an_object"),
        (
            json!({ "type": "object", "$schema": "http://json-schema.org/draft-07/schema#" }),
            "/parameters/$schema",
            "unknown_dialect",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "$ref": "https://example.org/s" } } }),
            "/parameters/properties/a/$ref",
            "remote_reference",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "$ref": "other.json" } } }),
            "/parameters/properties/a/$ref",
            "remote_reference",
        ),
        (
            json!({ "type": "object", "$id": "https://example.org/" }),
            "/parameters/$id",
            "not_supported",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "$ref": "#" } } }),
            "/parameters",
            "circular_reference",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/a" } }, "$defs": { "a": { "items": { "$ref": "#/$defs/a" } } } }),
            "/parameters",
            "circular_reference",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/b" } } }),
            "/parameters",
            "dangling_reference",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/d0" } }, "$defs": doubling }),
            "/parameters",
            "too_complex",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "type": "strin" } } }),
            "/parameters/properties/a/type",
            "invalid_schema",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "pattern": "(" } } }),
            "/parameters/properties/a/pattern",
            "invalid_schema",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "pattern": "(?i)\\pL{200}\\pL{200}" } } }),
            "/parameters/properties/a/pattern",
            "invalid_schema",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "pattern": "a".repeat(501) } } }),
            "/parameters",
            "too_complex",
        ),
        (
            json!({ "type": "object", "patternProperties": patterns }),
            "/parameters",
            "too_complex",
        ),
        (
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/d0" } }, "$defs": chain }),
            "/parameters",
            "too_complex",
        ),
        (
            json!({ "type": "object", "unevaluatedProperties": false }),
            "/parameters/unevaluatedProperties",
            "not_supported",
        ),
    ] {
        let client = json!({ "parameters": schema, "http": null, "client": {} });
        let found = faults(&spec(client));
        assert!(
            found.contains(&(pointer.into(), code.into())),
            "{schema}: {found:?}"
        );
    }
}

#[test]
fn arguments_are_checked_with_pointers() {
    let spec = spec(json!({ "parameters": {
        "type": "object", "required": ["number"], "additionalProperties": false,
        "properties": { "number": { "$ref": "#/$defs/number" } }, "$defs": { "number": { "type": "string", "maxLength": 3 } },
    } }));
    spec.check().unwrap();
    spec.check_arguments(&json!({ "number": "123" })).unwrap();
    let found = |arguments: Value| -> Vec<_> {
        let found = spec.check_arguments(&arguments).unwrap_err();
        found.into_iter().map(|v| (v.pointer, v.code)).collect()
    };
    assert_eq!(
        found(json!({ "number": "1234" })),
        [("/number".to_owned(), "too_long".to_owned())]
    );
    assert_eq!(
        found(json!({})),
        [("/number".to_owned(), "missing_field".to_owned())]
    );
    assert_eq!(
        found(json!({ "number": "1", "x": 1 })),
        [("/x".to_owned(), "unknown_field".to_owned())]
    );
}

#[test]
fn checking_arguments_costs_no_more_than_a_fixed_amount() {
    let many: Vec<_> = (0..1_000)
        .map(|n| json!({ "items": { "maximum": -n } }))
        .collect();
    let alternatives = |count: usize| {
        let parameters =
            json!({ "type": "object", "properties": { "a": { "anyOf": many[..count] } } });
        let spec = spec(
            json!({ "parameters": parameters, "http": { "url": "https://shop.example.org/" } }),
        );
        spec.check().unwrap();
        spec
    };
    let code = |spec: &ToolSpec, arguments: Value| {
        spec.check_arguments(&arguments).unwrap_err()[0]
            .code
            .clone()
    };
    assert_eq!(
        code(&alternatives(1_000), json!({ "a": vec![1; 30_000] })),
        "too_complex"
    );
    assert_eq!(
        code(&alternatives(100), json!({ "a": vec![1; 1_000] })),
        "schema_mismatch"
    );
    assert_eq!(
        code(&alternatives(10), json!({ "a": vec![1; 100] })),
        "no_alternative"
    );
    let matching = json!({ "type": "object", "additionalProperties": { "pattern": "(?i)[ab]*a[ab]{100}c" }, "patternProperties": {
        "^x": { "pattern": "b" }, "^y": { "pattern": "b" }, "^z": { "pattern": "b" } } });
    let matching =
        spec(json!({ "parameters": matching, "http": { "url": "https://shop.example.org/" } }));
    matching.check().unwrap();
    assert_eq!(
        code(&matching, json!({ "a": "ab".repeat(30_000) })),
        "too_complex"
    );
    assert_eq!(
        code(&matching, json!({ "a": "ab".repeat(3_000) })),
        "invalid_value"
    );
}

/// `$defs` that double at every level, at this pointer.
fn doubling_at(pointer: &str, levels: usize) -> Vec<Value> {
    let next = |n: usize| json!({ "$ref": format!("{pointer}/{n}") });
    let mut levels: Vec<_> = (1..levels)
        .map(|n| json!({ "allOf": [next(n), next(n)] }))
        .collect();
    levels.push(json!({ "type": "string" }));
    levels
}

#[test]
fn schemas_cannot_hide_what_they_cost() {
    let hidden = json!({ "type": "object", "properties": { "$defs": {
        "allOf": [{ "$ref": "#/properties/$defs/d/0" }], "d": doubling_at("#/properties/$defs/d", 40) } } });
    let nested = json!({ "type": "object", "properties": { "a": {
        "$defs": { "d": { "anyOf": doubling_at("#/properties/a/$defs/d/anyOf", 40) } },
        "$ref": "#/properties/a/$defs/d/anyOf/0" } } });
    let encoded = json!({ "type": "object", "%24defs": { "a": true },
        "$defs": { "a": { "anyOf": doubling_at("#/$defs/a/anyOf", 40) } },
        "properties": { "a": { "$ref": "#/%24defs/a" } } });
    let dialect = json!({ "type": "object", "properties": { "a": {
        "$schema": "http://json-schema.org/draft-04/schema#", "id": "https://example.org/" } } });
    let pattern = json!({ "pattern": "[ab]*a[ab]{1200}c" });
    let applied = json!({ "type": "object", "$defs": { "p": pattern },
        "properties": { "a": { "allOf": vec![json!({ "$ref": "#/$defs/p" }); 1_600] } } });
    for (schema, pointer, code) in [
        (hidden, "/parameters", "too_complex"),
        (nested, "/parameters", "too_complex"),
        (encoded, "/parameters/properties/a/$ref", "not_supported"),
        (dialect, "/parameters/properties/a/$schema", "not_supported"),
        (applied, "/parameters", "too_complex"),
    ] {
        let tool =
            spec(json!({ "parameters": schema, "http": { "url": "https://shop.example.org/" } }));
        assert_eq!(
            faults(&tool),
            [(pointer.to_owned(), code.to_owned())],
            "{schema}"
        );
        // One that was stored before it was refused is not worked on.
        let refused = tool
            .check_arguments(&json!({ "a": "x", "$defs": "x" }))
            .unwrap_err();
        assert_eq!(refused[0].code, code, "{schema}");
    }
    let plain = json!({ "type": "object", "properties": { "$defs": { "type": "string" }, "$ref": { "type": "integer" },
        "$schema": { "type": "string" } }, "$defs": { "unused": { "$ref": "#/$defs/unused" } } });
    let plain =
        spec(json!({ "parameters": plain, "http": { "url": "https://shop.example.org/" } }));
    plain.check().unwrap();
    plain
        .check_arguments(&json!({ "$defs": "x", "$ref": 1 }))
        .unwrap();
}

#[test]
fn many_faults_under_a_long_name_are_told_within_bounds() {
    let broken = json!({ "/".repeat(100_000): vec!["{{"; 20_000] });
    let tool = spec(
        json!({ "http": { "method": "POST", "url": "https://shop.example.org/", "json": broken } }),
    );
    let found = tool.check().unwrap_err();
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(|found| found.pointer.len() == 1_000));
    let words = json!({ "type": "object", "/".repeat(20_000): vec![json!({ "$id": "" }); 3_000] });
    let found =
        spec(json!({ "parameters": words, "http": { "url": "https://shop.example.org/" } }))
            .check()
            .unwrap_err();
    assert!(found.len() <= 100 && found.iter().all(|found| found.pointer.len() <= 1_000));
}
