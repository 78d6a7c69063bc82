//! Schemas that a word divides into variants. In the code each is one structure whose rules say which fields belong
//! together; in the document it is a union, so that generated types follow the rules too.

use std::collections::BTreeMap;

use patchbay_domain::{
    call::CallState,
    session::{RunState, SessionState},
    timeline::EventKind,
};
use serde_json::{Map, Value, json};

use super::{references::REF, tidy::without_null};

/// A schema to divide.
struct Union {
    name: &'static str,
    /// The field with the word.
    tag: &'static str,
    variants: Vec<Variant>,
}

struct Variant {
    name: &'static str,
    /// The words that select it.
    words: Vec<&'static str>,
    /// Its own fields; those of no variant belong to all of them.
    own: &'static [&'static str],
    /// Which of them are required.
    required: &'static [&'static str],
}

fn all() -> [Union; 5] {
    let variant = |name, word, own, required| Variant {
        name,
        words: vec![word],
        own,
        required,
    };
    [
        Union {
            name: "RuntimeSpec",
            tag: "kind",
            variants: vec![
                variant("EchoRuntimeSpec", "echo", &["greeting_tone"], &[]),
                variant(
                    "PipelineRuntimeSpec",
                    "pipeline",
                    &[
                        "stt",
                        "llm",
                        "tts",
                        "turn_detection",
                        "interruptions",
                        "vad",
                    ],
                    &["stt", "llm", "tts"],
                ),
            ],
        },
        Union {
            name: "ToolSpec",
            tag: "kind",
            variants: vec![
                variant("HttpToolSpec", "http", &["http"], &["http"]),
                variant("McpToolSpec", "mcp", &["mcp"], &["mcp"]),
                variant("ClientToolSpec", "client", &["client"], &["client"]),
            ],
        },
        Union {
            name: "Attach",
            tag: "type",
            variants: vec![
                variant(
                    "AttachAgent",
                    "agent",
                    &["agent_id", "binding_id", "variables"],
                    &["agent_id"],
                ),
                variant(
                    "AttachUser",
                    "user",
                    &["user_id", "identity", "name", "role", "ttl_seconds"],
                    &[],
                ),
                variant(
                    "AttachPhone",
                    "phone",
                    &["number", "from", "trunk_id", "ring_timeout_seconds"],
                    &["number"],
                ),
            ],
        },
        Union {
            name: "Attachment",
            tag: "type",
            variants: vec![
                variant("AttachedAgent", "agent", &["agent_run"], &["agent_run"]),
                variant(
                    "AttachedUser",
                    "user",
                    &["participant", "token"],
                    &["participant"],
                ),
                variant("AttachedPhone", "phone", &["call"], &["call"]),
            ],
        },
        session_event(),
    ]
}

fn session_event() -> Union {
    let variant = |name, words, own| Variant {
        name,
        words,
        own,
        required: own,
    };
    let words = |kinds: &[EventKind]| kinds.iter().map(|kind| kind.as_str()).collect();
    let participant = [
        EventKind::ParticipantInvited,
        EventKind::ParticipantJoined,
        EventKind::ParticipantReturned,
        EventKind::ParticipantLeft,
    ];
    let tool_call = [EventKind::ToolCallStarted, EventKind::ToolCallFinished];
    Union {
        name: "SessionEvent",
        tag: "kind",
        variants: vec![
            variant(
                "SessionStateEvent",
                words(&SessionState::ALL.map(EventKind::from)),
                &[],
            ),
            variant(
                "AgentRunEvent",
                words(&RunState::ALL.map(EventKind::from)),
                &["agent_run_id"],
            ),
            variant("ParticipantEvent", words(&participant), &["participant"]),
            variant(
                "CallEvent",
                words(&CallState::ALL.map(EventKind::from)),
                &["call_id"],
            ),
            variant(
                "ToolCallEvent",
                words(&tool_call),
                &["agent_run_id", "tool_call"],
            ),
            variant(
                "SearchEvent",
                words(&[EventKind::KnowledgeSearched]),
                &["agent_run_id", "search"],
            ),
        ],
    }
}

/// Divides the schemas among the components.
pub(super) fn divide(mut components: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    for union in all() {
        if let Some(Value::Object(flat)) = components.remove(union.name) {
            let variants = union.variants.iter().map(|variant| {
                let schema = union.variant(variant, &flat);
                (variant.name.to_owned(), schema)
            });
            components.extend(variants);
            components.insert(union.name.to_owned(), union.schema(&flat));
        }
    }
    components
}

impl Union {
    fn schema(&self, flat: &Map<String, Value>) -> Value {
        let reference = |variant: &Variant| format!("{REF}{}", variant.name);
        let branches: Vec<_> = self
            .variants
            .iter()
            .map(|v| json!({ "$ref": reference(v) }))
            .collect();
        let mapping: Map<_, _> = self
            .variants
            .iter()
            .flat_map(|v| {
                v.words
                    .iter()
                    .map(move |word| ((*word).to_owned(), reference(v).into()))
            })
            .collect();
        let mut schema = json!({
            "oneOf": branches,
            "discriminator": { "propertyName": self.tag, "mapping": mapping },
        });
        for name in ["description", "example"] {
            if let Some(value) = flat.get(name) {
                schema[name] = value.clone();
            }
        }
        schema
    }

    fn variant(&self, variant: &Variant, flat: &Map<String, Value>) -> Value {
        let is_foreign = |name: &str| {
            let belongs = |v: &Variant| v.own.contains(&name);
            !belongs(variant) && self.variants.iter().any(belongs)
        };
        let mut schema = flat.clone();
        schema.remove("example");
        // Some generators name a type by its title.
        schema.insert("title".to_owned(), variant.name.into());
        let words = variant.words.join("` or `");
        let description = format!("Where `{}` is `{words}`.", self.tag);
        schema.insert("description".to_owned(), description.into());
        let mut schema = Value::Object(schema);
        if let Some(properties) = schema["properties"].as_object_mut() {
            properties.retain(|name, _| !is_foreign(name));
            let description = properties[self.tag]["description"].clone();
            properties[self.tag] =
                json!({ "type": "string", "enum": variant.words, "description": description });
            for name in variant.required {
                without_null(&mut properties[*name]);
            }
        }
        let flat = schema["required"].as_array().cloned().unwrap_or_default();
        let flat = flat.iter().filter_map(Value::as_str);
        let mut required: Vec<_> = flat.filter(|name| !is_foreign(name)).collect();
        for name in [self.tag].iter().chain(variant.required) {
            if !required.contains(name) {
                required.push(name);
            }
        }
        let required = json!(required);
        schema["required"] = required;
        schema
    }
}
