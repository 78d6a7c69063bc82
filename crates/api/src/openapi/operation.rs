//! One operation of the document, put together from what types say of themselves.

use std::collections::BTreeMap;

use patchbay_service::Code as ServiceCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{doc::Doc, names::component_name, tidy};
use crate::{
    code::Code,
    error::{PROBLEM_JSON, Problem},
};

/// What an extractor or an answer adds to the operation it appears in.
pub trait Describe {
    /// Adds it.
    fn describe(operation: &mut Operation);
}

/// One operation while it is being described.
#[derive(Default)]
pub struct Operation {
    pub(super) value: Map<String, Value>,
    pub(super) schemas: BTreeMap<String, Value>,
    errors: BTreeMap<u16, Vec<&'static str>>,
    taken: Vec<u16>,
    pub(super) path_names: Vec<String>,
}

impl Operation {
    /// One of this path, with its parameters.
    pub(super) fn of_path(path: &str) -> Self {
        Self {
            path_names: path_parameters(path).map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// Whether parameters of the path have not been described yet.
    pub(super) const fn has_path_names(&self) -> bool {
        !self.path_names.is_empty()
    }

    /// A reference to the schema of `T`, which becomes a component with all it refers to.
    pub fn schema<T: ToSchema>(&mut self) -> Value {
        let mut referenced = Vec::new();
        T::schemas(&mut referenced);
        for (name, schema) in referenced {
            self.schemas.insert(name, to_value(&schema));
        }
        let name = component_name::<T>();
        self.schemas.insert(name.clone(), to_value(&T::schema()));
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// Adds a component by hand.
    pub fn component(&mut self, name: &str, schema: Value) -> Value {
        self.schemas.insert(name.to_owned(), schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// Says that an error can occur.
    pub fn error(&mut self, code: impl Into<Code>) {
        let code = code.into();
        let (name, status) = (code.name(), code.status());
        let names = self.errors.entry(status).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    /// Sets a member of the operation.
    pub fn set(&mut self, name: &str, value: Value) {
        self.value.insert(name.to_owned(), value);
    }

    /// Says that the body may be left out.
    pub fn optional_body(&mut self) {
        if let Some(body) = self.value.get_mut("requestBody") {
            body["required"] = false.into();
        }
    }

    /// Adds the fields of `F` as query parameters.
    pub fn filters<F: ToSchema>(&mut self) {
        let mut referenced = Vec::new();
        F::schemas(&mut referenced);
        for (name, schema) in referenced {
            self.schemas.insert(name, to_value(&schema));
        }
        let schema = to_value(&F::schema());
        let fields = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, mut schema) in fields {
            tidy::inline(&mut schema, &self.schemas);
            tidy::without_null(&mut schema);
            let description = schema["description"].take();
            let example = schema["example"].take();
            if let Some(fields) = schema.as_object_mut() {
                fields.retain(|name, _| name != "description" && name != "example");
            }
            let mut parameter = json!({
                "name": name, "in": "query", "required": false,
                "description": description, "schema": schema,
            });
            if !example.is_null() {
                parameter["example"] = example;
            }
            self.parameter(parameter);
        }
    }

    /// Adds the parameters of the path, in its order: each with what its type says of it.
    pub fn path(&mut self, types: &[fn() -> Value]) {
        let names = std::mem::take(&mut self.path_names);
        assert_eq!(names.len(), types.len(), "each has its type: {names:?}");
        for (name, describe) in names.into_iter().zip(types) {
            let mut parameter = describe();
            if parameter["description"].is_null() {
                let what = name.trim_end_matches("_id").replace('_', " ");
                parameter["description"] = format!("Id of the {what}.").into();
            }
            parameter["name"] = name.into();
            parameter["in"] = "path".into();
            parameter["required"] = true.into();
            self.parameter(parameter);
            self.error(ServiceCode::NotFound);
        }
    }

    /// Puts the parameters of the path first.
    pub(super) fn sort_parameters(&mut self) {
        let parameters = self.value.get_mut("parameters");
        if let Some(parameters) = parameters.and_then(Value::as_array_mut) {
            parameters.sort_by_key(|parameter| parameter["in"] != "path");
        }
    }

    /// Adds a parameter.
    pub fn parameter(&mut self, parameter: Value) {
        let parameters = self.value.entry("parameters").or_insert_with(|| json!([]));
        if let Some(list) = parameters.as_array_mut() {
            list.push(parameter);
        }
    }

    /// Sets the request body; `media` are its media types.
    pub fn body<T: ToSchema>(&mut self, media: &[&str]) {
        let schema = self.schema::<T>();
        let content: Map<_, _> = media
            .iter()
            .map(|media| ((*media).to_owned(), json!({ "schema": schema })))
            .collect();
        self.value.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "content": content }),
        );
    }

    /// Adds an answer. `content` is its schema.
    pub fn answer(
        &mut self,
        status: u16,
        description: &str,
        headers: &[&str],
        content: Option<Value>,
    ) {
        let mut all = json!({ "X-Request-Id": header("X-Request-Id") });
        for name in headers {
            all[*name] = header(name);
        }
        let mut response = json!({ "description": description, "headers": all });
        if let Some(schema) = content {
            response["content"] = json!({ "application/json": { "schema": schema } });
        }
        let responses = self.value.entry("responses").or_insert_with(|| json!({}));
        responses[status.to_string()] = response;
    }

    /// Says that the answers so far may carry a header.
    pub fn header_of_answers(&mut self, name: &str) {
        let responses = self.value.get_mut("responses");
        for response in responses
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            response.1["headers"][name] = header(name);
        }
    }

    /// Says that an answer is bytes.
    pub fn binary(&mut self, status: u16) {
        let schema = json!({ "type": "string", "format": "binary", "description": "Bytes." });
        let content = json!({ "application/octet-stream": { "schema": schema } });
        if let Some(responses) = self.value.get_mut("responses") {
            responses[status.to_string()]["content"] = content;
        }
    }

    /// An answer that stands although an error has the same status.
    pub fn answer_last(&mut self, status: u16, description: &str, content: Option<Value>) {
        self.taken.push(status);
        self.answer(status, description, &[], content);
    }

    pub(super) fn finish(mut self, doc: &Doc) -> (Value, BTreeMap<String, Value>) {
        for code in doc.errors {
            self.error(*code);
        }
        self.error(ServiceCode::Internal);
        if self.value.contains_key("x-scopes") {
            self.error(ServiceCode::StoredDataUnreadable);
        }
        self.error(ServiceCode::Unavailable);
        let problem = self.schema::<Problem>();
        for (status, codes) in std::mem::take(&mut self.errors) {
            if self.taken.contains(&status) {
                continue;
            }
            let codes: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
            let headers = match status {
                401 => json!({ "WWW-Authenticate": header("WWW-Authenticate") }),
                429 | 503 => json!({ "Retry-After": header("Retry-After") }),
                _ => json!({}),
            };
            let mut response = json!({
                "description": format!("Code: {}.", codes.join(", ")),
                "headers": headers,
                "content": { PROBLEM_JSON: { "schema": problem, "example": problem_example(status, &codes) } },
            });
            response["headers"]["X-Request-Id"] = header("X-Request-Id");
            let responses = self.value.entry("responses").or_insert_with(|| json!({}));
            responses[status.to_string()] = response;
        }
        self.header_of_answers("Access-Control-Allow-Origin");
        if self.value.contains_key("x-scopes") {
            self.header_of_answers("RateLimit");
            self.header_of_answers("RateLimit-Policy");
        }
        self.value
            .insert("operationId".to_owned(), (&*doc.id).into());
        self.value
            .insert("tags".to_owned(), json!([doc.tag.row().0]));
        self.value
            .insert("summary".to_owned(), (&*doc.summary).into());
        let scopes = self.value.get("x-scopes");
        let mut description = doc.description.clone().into_owned();
        if let Some(scopes) = scopes {
            let names: Vec<_> = scopes
                .as_array()
                .into_iter()
                .flatten()
                .map(|s| format!("`{}`", s.as_str().unwrap_or_default()))
                .collect();
            description.push_str(&format!("\n\nScope: {}.", names.join(" or ")));
        }
        self.value
            .insert("description".to_owned(), description.into());
        (Value::Object(self.value), self.schemas)
    }
}

fn problem_example(status: u16, codes: &[String]) -> Value {
    let code = codes
        .first()
        .map(|code| code.trim_matches('`'))
        .unwrap_or_default();
    let mut example = json!({
        "type": "about:blank",
        "title": "What the code means",
        "status": status,
        "detail": "What is wrong this time.",
        "code": code,
        "request_id": "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f11",
    });
    if status == 422 {
        example["errors"] = json!([
            { "pointer": "/name", "code": "too_short", "message": "at least 1 characters are needed" }
        ]);
    }
    example
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

fn to_value(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
