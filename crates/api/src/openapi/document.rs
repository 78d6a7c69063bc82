//! The OpenAPI 3.1 document.

use std::collections::BTreeMap;

use patchbay_domain::{
    TenantId,
    template::{FILTERS, Filter},
};
use serde_json::{Map, Value, json};

use super::{
    doc::Doc,
    errors::{self, Errors},
    operation::{Describe, Operation},
    path_parameter::PathParameter as _,
    references::reachable,
    shared,
    tag::Tag,
    tidy, unions,
};

/// Builds the document, route by route.
#[derive(Default)]
pub struct Builder {
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: BTreeMap<String, Value>,
    errors: Errors,
    tags: Vec<Tag>,
}

impl Builder {
    /// Adds an operation; returns whether it requires an API key.
    pub fn add<Args: Describe, R: Describe>(&mut self, path: &str, doc: &Doc) -> bool {
        let mut operation = Operation::new(&doc.method, path);
        Args::describe(&mut operation);
        // A handler without a `Path` argument gets the tenant from `Caller`, and the path has no other parameter.
        if operation.has_path_names() {
            operation.path(&[TenantId::describe]);
        }
        operation.sort_parameters();
        R::describe(&mut operation);
        let finished = operation.finish(doc);
        let needs_key = finished.value.get("x-scopes").is_some();
        self.schemas.extend(finished.schemas);
        errors::merge(&mut self.errors, finished.errors);
        if !self.tags.contains(&doc.tag) {
            self.tags.push(doc.tag);
        }
        self.paths
            .entry(path.to_owned())
            .or_default()
            .insert(doc.method.as_str().to_lowercase(), finished.value);
        needs_key
    }

    /// The tags by task, as reference pages show them.
    fn tag_groups(&self) -> Vec<Value> {
        let of_group = |group: &str| {
            let tags = self.tags.iter().filter(|tag| tag.group() == group);
            let names: Vec<_> = tags.map(|tag| tag.name_and_description().0).collect();
            json!({ "name": group, "tags": names })
        };
        Tag::GROUPS.into_iter().map(of_group).collect()
    }

    /// Returns the document.
    pub fn finish(&self) -> Value {
        let tags: Vec<_> = self
            .tags
            .iter()
            .map(|tag| tag.name_and_description())
            .map(|(name, description)| json!({ "name": name, "description": description }))
            .collect();
        let mut paths = json!(self.paths);
        tidy::add_examples(&mut paths, &self.schemas);
        tidy::inline(&mut paths, &self.schemas);
        tidy::add_bounds(&mut paths);
        errors::shorten(&mut paths, &self.errors);
        let parameters = shared::parameters(&mut paths);
        let schemas = json!(unions::divide(tidy::components(&self.schemas)));
        let mut responses = shared::responses(&mut paths);
        responses.extend(errors::components(&self.errors));
        let used = json!([paths, responses]);
        let schemas = schemas.as_object().map(|all| reachable(&used, all));
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Patchbay",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "Control plane for voice AI agents on LiveKit.",
                "description": description(),
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
                "contact": { "name": "The operator of this installation" },
            },
            "servers": [{ "url": "/", "description": "The server that provides this document.", "x-internal": false }],
            "tags": tags,
            "x-tagGroups": self.tag_groups(),
            "paths": paths,
            "components": {
                "schemas": schemas,
                "parameters": parameters,
                "responses": responses,
                "headers": headers(),
                "securitySchemes": {
                    "api_key": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "pb_<key id>_<secret><checksum>",
                        "description": "API key of a tenant, or the key of the operator or of the workers of this installation.",
                    },
                    "client_token": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "pbc_<claims>.<signature>",
                        "description": "Short-lived credential of a web page that reads one session, from `createClientToken`.",
                    },
                    "livekit": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "Authorization",
                        "description": "Signature of LiveKit's webhooks: a JWT, without a scheme, that contains the hash of the body.",
                    },
                },
            },
        });
        tidy::unwrap_patches(&mut document);
        document
    }
}

fn headers() -> Value {
    let header = |description: &str, example: &str| json!({ "description": description, "required": true, "schema": { "type": "string", "maxLength": 200 }, "example": example });
    let optional = |description: &str, example: &str| {
        let mut header = header(description, example);
        header["required"] = false.into();
        header
    };
    json!({
        "RateLimit": optional("Remaining requests (`r`) of each limit that the request counted against, and seconds (`t`) until the limit is fully restored. Absent if no limit applies.", "\"key-reads\";r=2999;t=1, \"tenant-reads\";r=5999;t=1"),
        "RateLimit-Policy": optional("Limits that the request counted against: number of requests (`q`) per window in seconds (`w`).", "\"key-reads\";q=3000;w=60, \"tenant-reads\";q=6000;w=60"),
        "Access-Control-Allow-Origin": optional("Origin of the request if the operator allows it; otherwise absent.", "https://app.example.org"),
        "Idempotency-Replayed": optional("`true` if the response is that of an earlier request with the same Idempotency-Key.", "true"),
        "X-Request-Id": header("Id of the request: the client's, if well-formed, or a new one.", "0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f11"),
        "ETag": header("Revision in quotes. Send it as If-Match to change only this revision.", "\"1\""),
        "Location": header("Path of the created resource.", "/api/tenants/0199a2f0-7c11-7a54-9d4e-3b1f8f0f2f10"),
        "Accept-Ranges": header("Unit of ranges that can be requested: always `bytes`.", "bytes"),
        "Content-Disposition": header("Always `attachment`, with the name of the file.", "attachment; filename*=UTF-8''prices%2Epdf"),
        "Content-Range": header("Range of bytes in the response, and size of the file in bytes.", "bytes 0-1023/48213"),
        "WWW-Authenticate": header("Authentication scheme.", "Bearer realm=\"patchbay\""),
        "Retry-After": header("Time to wait before a retry, in seconds.", "1"),
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

/// The description of the API, with the table of template filters.
fn description() -> String {
    let rows = FILTERS.iter().map(|filter| {
        let Filter { name, meaning, .. } = filter;
        format!("| `{name}` | {meaning} |\n")
    });
    let filters: String = rows.collect();
    format!(
        "{}\n| Filter | Result |\n|---|---|\n{filters}",
        include_str!("description.md").trim_end()
    )
}
