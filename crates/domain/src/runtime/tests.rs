use serde_json::{Value, json};

use super::*;

fn faults(spec: Value) -> Vec<(String, String)> {
    let spec: RuntimeSpec = serde_json::from_value(spec).unwrap();
    let found = spec.check().unwrap_err();
    found.into_iter().map(|v| (v.pointer, v.code)).collect()
}

fn pipeline(changes: Value) -> Value {
    let model = json!({ "provider": "openai", "model": "m" });
    let mut spec = json!({ "kind": "pipeline", "stt": model, "llm": model, "tts": model });
    spec.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    spec
}

#[test]
fn refuses_what_nothing_executes() {
    let wrong = json!({ "kind": "realtime" });
    let error = serde_json::from_value::<RuntimeSpec>(wrong).unwrap_err();
    assert_eq!(Invalid::parse(&error.to_string()).code, "not_supported");
    for wrong in [
        pipeline(json!({ "avatar": {} })),
        pipeline(
            json!({ "llm": { "provider": "openai", "model": "m", "options": { "api_key": "x" } } }),
        ),
    ] {
        assert!(serde_json::from_value::<RuntimeSpec>(wrong).is_err());
    }
}

#[test]
fn every_kind_has_its_fields() {
    assert_eq!(
        faults(
            json!({ "kind": "echo", "stt": { "provider": "x", "model": "y" }, "limits": { "idle_seconds": 9 } })
        ),
        [
            ("/stt".into(), "not_for_this_kind".into()),
            ("/limits/idle_seconds".into(), "not_for_this_kind".into())
        ]
    );
    let codes: Vec<_> = faults(json!({ "kind": "pipeline", "greeting_tone": {} }))
        .into_iter()
        .map(|(p, _)| p)
        .collect();
    assert_eq!(codes, ["/greeting_tone", "/stt", "/llm", "/tts"]);
    let spec: RuntimeSpec = serde_json::from_value(pipeline(json!({}))).unwrap();
    spec.check().unwrap();
    assert_eq!(spec.base_urls(), []);
}

#[test]
fn checks_ranges_options_and_urls() {
    assert_eq!(
        faults(json!({ "kind": "echo", "greeting_tone": { "frequency_hz": 1 } })),
        [("/greeting_tone/frequency_hz".into(), "out_of_range".into())]
    );
    let llm = json!({
        "provider": "Open AI", "model": "m", "base_url": "file:///x", "options": { "voice": "v", "temperature": 3.0 },
        "fallbacks": [{ "provider": "x", "model": "m", "options": { "speed": 1.0 } }],
    });
    let pointers: Vec<_> = faults(pipeline(json!({ "llm": llm })))
        .into_iter()
        .map(|(p, _)| p)
        .collect();
    assert_eq!(
        pointers,
        [
            "/llm/provider",
            "/llm/base_url",
            "/llm/options/voice",
            "/llm/options/temperature",
            "/llm/fallbacks/0/options/speed"
        ]
    );
    let turn = json!({ "turn_detection": { "min_delay_ms": 900, "max_delay_ms": 800 } });
    assert_eq!(
        faults(pipeline(turn)),
        [("/turn_detection/max_delay_ms".into(), "out_of_range".into())]
    );
}

#[test]
fn serializes_only_what_was_given() {
    let spec: RuntimeSpec = serde_json::from_value(json!({ "kind": "echo" })).unwrap();
    let value = serde_json::to_value(&spec).unwrap();
    assert_eq!(
        value,
        json!({ "kind": "echo", "limits": { "max_duration_seconds": 3600 } })
    );
}
