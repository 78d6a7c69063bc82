//! The OpenAPI 3.1 document, put together from what types say of themselves.

use std::collections::BTreeMap;

use actix_web::http::Method;
use patchbay_domain::{
    TenantId,
    template::{FILTERS, Filter},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Doc, Tag, tidy};
use crate::{
    error::{Code, PROBLEM_JSON, Problem},
    extract::PathParameter as _,
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
    path_names: Vec<String>,
}

impl Operation {
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
    pub fn error(&mut self, code: Code) {
        let (name, status, _) = code.row();
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
            self.error(Code::NotFound);
        }
    }

    /// Puts the parameters of the path first.
    fn sort_parameters(&mut self) {
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

    fn finish(mut self, doc: &Doc) -> (Value, BTreeMap<String, Value>) {
        for code in doc.errors {
            self.error(*code);
        }
        self.error(Code::Internal);
        if self.value.contains_key("x-scopes") {
            self.error(Code::StoredDataUnreadable);
        }
        self.error(Code::Unavailable);
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
        self.value.insert("operationId".to_owned(), doc.id.into());
        self.value
            .insert("tags".to_owned(), json!([doc.tag.row().0]));
        self.value.insert("summary".to_owned(), doc.summary.into());
        let scopes = self.value.get("x-scopes");
        let mut description = doc.description.to_owned();
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

/// The name of a type's component: its own, and for a generic one both put into words, so that
/// `Version<PromptSpec>` is a `PromptVersion`.
pub fn component_name<T: ToSchema>() -> String {
    let last = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
    let Some((outer, inner)) = std::any::type_name::<T>().split_once('<') else {
        return T::name().into_owned();
    };
    let inner = match &*last(inner.trim_end_matches('>')) {
        "PromptSpec" => "Prompt".to_owned(),
        "RuntimeSpec" => "RuntimeConfig".to_owned(),
        "ToolSpec" => "Tool".to_owned(),
        other => other.to_owned(),
    };
    match &*last(outer) {
        "Artifact" => inner,
        "CreateVersion" => format!("Create{inner}Version"),
        outer => format!("{inner}{outer}"),
    }
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

fn to_value(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// The document while routes are being added.
#[derive(Default)]
pub(super) struct Builder {
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: BTreeMap<String, Value>,
    tags: Vec<Tag>,
}

impl Builder {
    pub(super) fn add<Args: Describe, R: Describe>(
        &mut self,
        method: &Method,
        path: &str,
        doc: &Doc,
    ) {
        let mut operation = Operation {
            path_names: path_parameters(path).map(str::to_owned).collect(),
            ..Operation::default()
        };
        Args::describe(&mut operation);
        // A handler that leaves the path to `Caller` takes nothing from it but the tenant.
        if !operation.path_names.is_empty() {
            operation.path(&[TenantId::describe]);
        }
        operation.sort_parameters();
        R::describe(&mut operation);
        let (value, schemas) = operation.finish(doc);
        self.schemas.extend(schemas);
        if !self.tags.contains(&doc.tag) {
            self.tags.push(doc.tag);
        }
        self.paths
            .entry(path.to_owned())
            .or_default()
            .insert(method.as_str().to_lowercase(), value);
    }

    pub(super) fn finish(&self) -> Value {
        let tags: Vec<_> = self
            .tags
            .iter()
            .map(|tag| tag.row())
            .map(|(name, description)| json!({ "name": name, "description": description }))
            .collect();
        let mut paths = json!(self.paths);
        tidy::add_examples(&mut paths, &self.schemas);
        tidy::inline(&mut paths, &self.schemas);
        tidy::bound(&mut paths);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Patchbay",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "Control plane for voice AI agents on LiveKit.",
                "description": description(),
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
                "contact": { "name": "The operator of this installation" },
            },
            "servers": [{ "url": "/", "description": "The production server that this document came from.", "x-internal": false }],
            "tags": tags,
            "paths": paths,
            "components": {
                "schemas": tidy::components(&self.schemas),
                "headers": headers(),
                "securitySchemes": {
                    "api_key": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "pb_<key id>_<secret><checksum>",
                        "description": "An API key of a tenant, or the operator's or workers' key of this installation.",
                    },
                    "livekit": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "Authorization",
                        "description": "LiveKit's own: a bare JWT over the hash of the body.",
                    },
                },
            },
        })
    }
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn headers() -> Value {
    let header = |description: &str, example: &str| json!({ "description": description, "required": true, "schema": { "type": "string", "maxLength": 200 }, "example": example });
    let optional = |description: &str, example: &str| {
        let mut header = header(description, example);
        header["required"] = false.into();
        header
    };
    json!({
        "RateLimit": optional("What remains (`r`) of each limit that the request counted against, and the seconds (`t`) until it is whole again. Absent where nothing is limited.", "\"key-reads\";r=2999;t=1, \"tenant-reads\";r=5999;t=1"),
        "RateLimit-Policy": optional("The limits that the request counted against: requests (`q`) in a window of seconds (`w`).", "\"key-reads\";q=3000;w=60, \"tenant-reads\";q=6000;w=60"),
        "Access-Control-Allow-Origin": optional("The origin of a browser that the operator has allowed; absent for others.", "https://app.example.org"),
        "Idempotency-Replayed": optional("`true` where the answer is that of an earlier request with the same Idempotency-Key.", "true"),
        "X-Request-Id": header("Id of the request: the caller's, if well-formed, or a new one.", "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f11"),
        "ETag": header("The revision in quotes; send it as If-Match to change only what you saw.", "\"1\""),
        "Location": header("Path of what was created.", "/api/tenants/0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10"),
        "Accept-Ranges": header("That ranges of bytes can be asked for.", "bytes"),
        "Content-Disposition": header("That it is to be saved, and under which name.", "attachment; filename*=UTF-8''prices%2Epdf"),
        "Content-Range": header("Which bytes of how many these are.", "bytes 0-1023/48213"),
        "WWW-Authenticate": header("The scheme to authenticate with.", "Bearer realm=\"patchbay\""),
        "Retry-After": header("Seconds to wait before the next try.", "1"),
    })
}

macro_rules! describe_tuple {
    ($($part:ident),*) => {
        impl<$($part: Describe),*> Describe for ($($part,)*) {
            fn describe(operation: &mut Operation) {
                $($part::describe(operation);)*
            }
        }
    };
}
describe_tuple!(A);
describe_tuple!(A, B);
describe_tuple!(A, B, C);
describe_tuple!(A, B, C, D);
describe_tuple!(A, B, C, D, E);

/// What the whole document is about, with the list of filters as the template language has them.
fn description() -> String {
    let rows = FILTERS.iter().map(|filter| {
        let Filter { name, meaning, .. } = filter;
        format!("| `{name}` | {meaning} |\n")
    });
    let filters: String = rows.collect();
    format!(
        "{}\n| Filter | What it gives |\n|---|---|\n{filters}",
        include_str!("description.md").trim_end()
    )
}
