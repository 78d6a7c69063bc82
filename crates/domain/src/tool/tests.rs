use serde_json::json;

use super::*;

fn spec(changes: Value) -> ToolSpec {
    let mut spec = json!({
        "function_name": "find_order",
        "description": "Finds an order.",
        "parameters": {
            "type": "object",
            "properties": { "number": { "type": "string" }, "limit": { "type": "integer" }, "tags": { "type": "array" } },
        },
        "http": { "url": "https://shop.example.org/orders/{{ arguments.number }}" },
    });
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn http(changes: Value) -> ToolSpec {
    let mut call = json!({ "url": "https://shop.example.org/orders/{{ arguments.number }}" });
    for (name, value) in changes.as_object().unwrap() {
        call[name] = value.clone();
    }
    spec(json!({ "http": call }))
}

fn faults(spec: &ToolSpec) -> Vec<(String, String)> {
    let found = spec.check().unwrap_err();
    found.into_iter().map(|v| (v.pointer, v.code)).collect()
}

fn render(spec: &ToolSpec, arguments: Value) -> Result<HttpRequest, Invalid> {
    spec.check().unwrap();
    let secrets = BTreeMap::from([("TOKEN".to_owned(), "s3cret/=".to_owned())]);
    let call = CallIds {
        id: "c-1".to_owned(),
        session_id: None,
        agent_run_id: None,
    };
    let values = Values {
        arguments: &arguments,
        secrets: &secrets,
        call: &call,
    };
    spec.http
        .as_ref()
        .unwrap()
        .render(&values, Budget::until(None))
}

#[test]
fn values_are_encoded_for_the_place_where_they_stand() {
    let spec = http(json!({
        "method": "POST",
        "url": "https://shop.example.org:8443/orders/{{ arguments.number }}?all={{ arguments.number }}#x",
        "headers": { "authorization": "Bearer {{ secrets.TOKEN }}", "x-limit": "{{ arguments.limit }}" },
        "query": { "q": "{{ arguments.number }}", "n": "{{ arguments.limit }}", "call": "{{ call.id }}" },
        "json": {
            "text": "It is {{ arguments.number }}", "limit": "{{ arguments.limit }}",
            "tags": "{{ arguments.tags }}", "deep": [{ "n": "{{ arguments.number }}" }, "{{ arguments.limit }}"], "fixed": 7,
        },
    }));
    let request = render(
        &spec,
        json!({ "number": "a/b?c=d&\"e\" é", "tags": ["x", 1] }),
    )
    .unwrap();
    assert_eq!(
        request.url,
        "https://shop.example.org:8443/orders/a%2Fb%3Fc%3Dd%26%22e%22%20%C3%A9?all=a%2Fb%3Fc%3Dd%26%22e%22%20%C3%A9\
         &call=c-1&q=a%2Fb%3Fc%3Dd%26%22e%22+%C3%A9#x"
    );
    assert_eq!(
        request.headers,
        [
            ("authorization".into(), "Bearer s3cret/=".into()),
            ("content-type".into(), "application/json".into())
        ]
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let number = "a/b?c=d&\"e\" é";
    assert_eq!(
        body,
        json!({ "text": format!("It is {number}"), "tags": ["x", 1], "deep": [{ "n": number }], "fixed": 7 })
    );
}

#[test]
fn a_form_is_encoded_as_one() {
    let spec =
        http(json!({ "method": "PUT", "form": { "a": "{{ arguments.number }}", "b": "x y" } }));
    let request = render(&spec, json!({ "number": "1&2=3" })).unwrap();
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        "a=1%262%3D3&b=x+y"
    );
    assert_eq!(request.method, "PUT");
}

#[test]
fn arguments_do_not_climb_out_of_their_path_or_header() {
    let spec = http(
        json!({ "url": "https://shop.example.org/a/{{ arguments.number }}/b", "headers": { "x": "{{ arguments.number }}" } }),
    );
    for bad in [".", "..", "%2e%2E"] {
        let outcome = render(&spec, json!({ "number": bad }));
        if bad.starts_with('%') {
            assert!(
                outcome.unwrap().url.contains("%252e%252E"),
                "encoded once more"
            );
        } else {
            assert_eq!(outcome.unwrap_err().code, "path_climbs", "{bad}");
        }
    }
    for hidden in ["/a/.. ", "/a/.\t./b", "/a\\..\\b"] {
        let spec = http(json!({ "url": format!("https://shop.example.org{hidden}") }));
        let outcome = render(&spec, json!({}));
        assert_eq!(outcome.unwrap_err().code, "path_climbs", "{hidden:?}");
    }
    for (plain, told) in [
        ("", "/"),
        ("/a b/ ", "/a%20b/"),
        ("/ü?a/../b#/c", "/%C3%BC?a/../b#/c"),
    ] {
        let spec = http(json!({ "url": format!("https://shop.example.org{plain}") }));
        let url = render(&spec, json!({})).unwrap().url;
        assert_eq!(url, format!("https://shop.example.org{told}"));
    }
    assert_eq!(
        render(&spec, json!({ "number": "a\r\nx: y" }))
            .unwrap_err()
            .code,
        "invalid_header"
    );
    assert_eq!(
        render(&spec, json!({})).unwrap_err().code,
        "render_failed",
        "a path needs its value"
    );
}

#[test]
fn arguments_never_form_scheme_host_port_or_header_names() {
    for url in [
        "{{ arguments.number }}://shop.example.org/",
        "https://{{ arguments.number }}/",
        "https://{{ arguments.number }}.example.org/",
        "https://shop.example.org:{{ arguments.limit }}/",
        "https://shop.example.org{{ arguments.number }}",
        "https://user@shop.example.org/",
        "https://shop.example.org\\@evil.example/",
        "{{ arguments.number }}",
        "ftp://shop.example.org/",
        "https:///x",
    ] {
        let found = faults(&http(json!({ "url": url })));
        assert!(
            found.contains(&("/http/url".into(), "invalid_url".into())),
            "{url}: {found:?}"
        );
    }
    for name in [
        "{{ arguments.number }}",
        "host",
        "Content-Length",
        "a b",
        "",
        "x:y",
    ] {
        let found = faults(&http(json!({ "headers": { name: "v" } })));
        assert!(
            found.iter().any(|(_, code)| code == "invalid_header"),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn templates_use_what_is_declared_and_name_their_secrets() {
    for (source, code) in [
        ("{{ arguments.nothing }}", "undeclared_argument"),
        ("{{ nothing }}", "undeclared_variable"),
        ("{{ call.nothing }}", "undeclared_variable"),
        ("{{ secrets[arguments.number] }}", "unnamed_secret"),
        ("{{ secrets['TOKEN'] }}", "unnamed_secret"),
        ("{{ secrets }}", "unnamed_secret"),
        ("{% set s = secrets %}{{ s.TOKEN }}", "invalid_template"),
        (
            "{% for name in secrets %}{{ name }}{% endfor %}",
            "unnamed_secret",
        ),
        (
            "{% if secrets.TOKEN[arguments.number] <= arguments.number %}{{ call.nothing }}{% endif %}",
            "unnamed_secret",
        ),
        ("{% if secrets.TOKEN %}x{% endif %}", "unnamed_secret"),
        (
            "{% for c in secrets.TOKEN %}x{% endfor %}",
            "unnamed_secret",
        ),
        ("{{ secrets.TOKEN | upper }}", "unnamed_secret"),
        ("{{ secrets.TOKEN | default('x') }}", "unnamed_secret"),
        (
            "{{ arguments.number | default(secrets.TOKEN) }}",
            "unnamed_secret",
        ),
        ("{{ secrets.TOKEN[0] }}", "unnamed_secret"),
        ("{{ secrets.TOKEN.x }}", "unnamed_secret"),
        ("{{ secrets.TOKEN == 'x' }}", "unnamed_secret"),
        ("{{ 'x' in secrets.TOKEN }}", "unnamed_secret"),
        ("{{ secrets.TOKEN or 'x' }}", "unnamed_secret"),
        ("{{ not secrets.TOKEN }}", "unnamed_secret"),
        ("{{ secrets.TOKEN is defined }}", "unnamed_secret"),
        ("{{ arguments[secrets.TOKEN] }}", "unnamed_secret"),
        ("{% if %}", "invalid_template"),
    ] {
        let found = faults(&http(json!({ "query": { "q": source } })));
        assert_eq!(
            found,
            [("/http/query/q".to_owned(), code.to_owned())],
            "{source}"
        );
    }
    let spec = http(json!({
        "headers": { "a": "{{ secrets.ONE }}" }, "query": { "b": "Bearer {{ secrets.TWO }}!" },
        "method": "POST", "json": { "c": ["{% if arguments.number %}{{ secrets.THREE }}{% endif %}"] },
    }));
    let Destination { url, secrets, .. } = spec.destination().unwrap();
    assert_eq!(url.as_str(), "https://shop.example.org/");
    assert_eq!(Vec::from_iter(secrets), ["ONE", "THREE", "TWO"]);
}

#[test]
fn all_templates_of_a_request_share_one_budget() {
    let long = "x".repeat(60_000);
    let texts = vec!["{{ arguments.number }}"; 100];
    let spec = http(json!({ "method": "POST", "json": { "texts": texts } }));
    let refused = render(&spec, json!({ "number": long })).unwrap_err();
    assert_eq!(refused.code, "render_too_costly");
}

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
        [("/number".to_owned(), "maxLength".to_owned())]
    );
    assert_eq!(found(json!({})), [(String::new(), "required".to_owned())]);
    assert_eq!(
        found(json!({ "number": "1", "x": 1 })),
        [(String::new(), "additionalProperties".to_owned())]
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
        "anyOf"
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
        "pattern"
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

#[test]
fn there_is_one_way_to_call_a_tool() {
    assert_eq!(
        faults(&spec(json!({ "client": {} }))),
        [(String::new(), "one_of".to_owned())]
    );
    assert_eq!(
        faults(&spec(json!({ "http": null }))),
        [(String::new(), "one_of".to_owned())]
    );
    let slow = http(json!({ "timeout_seconds": 61, "max_answer_bytes": 0, "result_pointer": "a" }));
    let pointers: Vec<_> = faults(&slow)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect();
    assert_eq!(
        pointers,
        [
            "/http/timeout_seconds",
            "/http/max_answer_bytes",
            "/http/result_pointer"
        ]
    );
}

#[test]
fn an_mcp_server_has_a_plain_address() {
    for (url, code) in [
        ("https://{{ arguments.number }}/mcp", "no_template"),
        ("mcp.example.org", "invalid_url"),
        ("ftp://mcp.example.org/", "invalid_url"),
        ("https://user@mcp.example.org/", "invalid_url"),
    ] {
        let mcp =
            json!({ "url": url, "tool_name": "t", "headers": { "a": "{{ arguments.number }}" } });
        let found = faults(&spec(json!({ "http": null, "mcp": mcp })));
        assert_eq!(found[0], ("/mcp/url".to_owned(), code.to_owned()));
        assert_eq!(
            found[1],
            (
                "/mcp/headers/a".to_owned(),
                "undeclared_argument".to_owned()
            )
        );
    }
    let mcp = json!({ "url": "https://mcp.example.org:8443/mcp?x=1", "tool_name": "t", "headers": { "a": "{{ secrets.A }}" } });
    let spec = spec(json!({ "http": null, "mcp": mcp }));
    spec.check().unwrap();
    let Destination { url, secrets, .. } = spec.destination().unwrap();
    assert_eq!(
        (url.as_str(), Vec::from_iter(secrets)),
        ("https://mcp.example.org:8443/", vec!["A".to_owned()])
    );
}

#[test]
fn a_pointer_finds_the_result() {
    let pointed = http(json!({ "result_pointer": "/order/0" }));
    let call = pointed.http.as_ref().unwrap();
    assert_eq!(
        call.result(br#"{"order": [{"state": "sent"}]}"#).unwrap(),
        json!({ "state": "sent" })
    );
    assert_eq!(call.result(b"{}").unwrap_err().code, "result_missing");
    assert_eq!(call.result(b"<html>").unwrap_err().code, "not_json");
    let whole = http(json!({}));
    assert_eq!(
        whole.http.as_ref().unwrap().result(b"plain").unwrap(),
        json!("plain")
    );
}
