use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::template::Budget;

mod schemas;

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
    for (plain, rendered) in [
        ("", "/"),
        ("/a b/ ", "/a%20b/"),
        ("/ü?a/../b#/c", "/%C3%BC?a/../b#/c"),
    ] {
        let spec = http(json!({ "url": format!("https://shop.example.org{plain}") }));
        let url = render(&spec, json!({})).unwrap().url;
        assert_eq!(url, format!("https://shop.example.org{rendered}"));
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
