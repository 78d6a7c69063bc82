//! One operation of the document, described by its types.

use std::collections::BTreeMap;

use actix_web::http::Method;
use patchbay_service::Code as ServiceCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    doc::Doc,
    errors::{self, Errors},
    names::component_name,
    references::header,
    tidy,
};
use crate::{code::Code, error::Problem};

/// A type that describes itself in the operations that use it: an argument or a response of a handler.
pub trait Describe {
    /// Adds the description to an operation.
    fn describe(operation: &mut Operation);
}

/// A finished operation.
pub(super) struct Finished {
    /// The operation object.
    pub value: Value,
    /// Schemas that it refers to.
    pub schemas: BTreeMap<String, Value>,
    /// Errors that can occur.
    pub errors: Errors,
}

/// Builds one operation.
#[derive(Default)]
pub struct Operation {
    pub(super) value: Map<String, Value>,
    pub(super) schemas: BTreeMap<String, Value>,
    errors: Errors,
    overridden: Vec<u16>,
    pub(super) path_names: Vec<String>,
    method: Method,
}

impl Operation {
    /// Creates an operation of this path.
    pub(super) fn new(method: &Method, path: &str) -> Self {
        Self {
            path_names: path_parameters(path).map(str::to_owned).collect(),
            method: method.clone(),
            ..Self::default()
        }
    }

    /// The HTTP method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Whether parameters of the path are not described yet.
    pub(super) const fn has_path_names(&self) -> bool {
        !self.path_names.is_empty()
    }

    /// Returns a reference to the schema of `T`. The schema and all that it refers to become components.
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

    /// Adds a component with this schema; returns a reference to it.
    pub fn component(&mut self, name: &str, schema: Value) -> Value {
        self.schemas.insert(name.to_owned(), schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// Adds an error that can occur.
    pub fn error(&mut self, code: impl Into<Code>) {
        let code = code.into();
        let codes = self.errors.entry(code.status()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }

    /// Sets a member of the operation.
    pub fn set(&mut self, name: &str, value: Value) {
        self.value.insert(name.to_owned(), value);
    }

    /// Marks the body as optional.
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

    /// Adds the parameters of the path, in order; `types` describe them.
    pub fn path(&mut self, types: &[fn() -> Value]) {
        let names = std::mem::take(&mut self.path_names);
        assert_eq!(
            names.len(),
            types.len(),
            "number of path parameters: {names:?}"
        );
        for (name, describe) in names.into_iter().zip(types) {
            let mut parameter = describe();
            if parameter["description"].is_null() {
                let resource = name.trim_end_matches("_id").replace('_', " ");
                parameter["description"] = format!("Id of the {resource}.").into();
            }
            parameter["name"] = name.into();
            parameter["in"] = "path".into();
            parameter["required"] = true.into();
            self.parameter(parameter);
            self.error(ServiceCode::NotFound);
        }
    }

    /// Moves the parameters of the path to the front.
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

    /// Whether it has a parameter of this name.
    pub fn has_parameter(&self, name: &str) -> bool {
        let parameters = self.value.get("parameters").and_then(Value::as_array);
        let mut parameters = parameters.into_iter().flatten();
        parameters.any(|parameter| parameter["name"] == name)
    }

    /// Adds the header `If-None-Match`.
    pub fn if_none_match(&mut self, description: &str) {
        self.parameter(json!({
            "name": "If-None-Match", "in": "header", "required": false, "description": description,
            "schema": { "type": "string", "maxLength": 200 }, "example": "\"44136fa3\"",
        }));
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

    /// Adds a response. `content` is its schema.
    pub fn response(
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

    /// Adds a header to all responses added so far.
    pub fn response_header(&mut self, name: &str) {
        let responses = self.value.get_mut("responses");
        for response in responses
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            response.1["headers"][name] = header(name);
        }
    }

    /// Sets the content of a response to bytes.
    pub fn binary(&mut self, status: u16) {
        let schema =
            json!({ "type": "string", "format": "binary", "description": "Content of the file." });
        let content = json!({ "application/octet-stream": { "schema": schema } });
        if let Some(responses) = self.value.get_mut("responses") {
            responses[status.to_string()]["content"] = content;
        }
    }

    /// Adds a response that takes precedence over errors with the same status.
    pub fn override_response(&mut self, status: u16, description: &str, content: Option<Value>) {
        self.overridden.push(status);
        self.response(status, description, &[], content);
    }

    pub(super) fn finish(mut self, doc: &Doc) -> Finished {
        for code in doc.errors {
            self.error(*code);
        }
        self.error(ServiceCode::Internal);
        if self.value.contains_key("x-scopes") {
            self.error(ServiceCode::StoredDataUnreadable);
            self.response_header("RateLimit");
            self.response_header("RateLimit-Policy");
        }
        self.error(ServiceCode::Unavailable);
        self.response_header("Access-Control-Allow-Origin");
        let overridden = std::mem::take(&mut self.overridden);
        self.errors.retain(|status, _| !overridden.contains(status));
        self.schema::<Problem>();
        let responses = self.value.entry("responses").or_insert_with(|| json!({}));
        for (status, codes) in &self.errors {
            responses[status.to_string()] = errors::reference(*status, codes);
        }
        self.value
            .insert("operationId".to_owned(), (&*doc.id).into());
        self.value
            .insert("tags".to_owned(), json!([doc.tag.name_and_description().0]));
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
        Finished {
            value: Value::Object(self.value),
            schemas: self.schemas,
            errors: self.errors,
        }
    }
}

fn to_value(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
