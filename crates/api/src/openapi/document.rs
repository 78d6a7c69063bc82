//! The OpenAPI 3.1 document.

use std::collections::BTreeMap;

use patchbay_domain::{
    TenantId,
    template::{FILTERS, Filter},
};
use serde_json::{Map, Value, json};

use super::{
    doc::Doc,
    operation::{Describe, Operation},
    path_parameter::PathParameter as _,
    tag::Tag,
    tidy,
};

/// The document while routes are being added.
#[derive(Default)]
pub struct Builder {
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: BTreeMap<String, Value>,
    tags: Vec<Tag>,
}

impl Builder {
    /// Adds an operation; answers whether it needs a key.
    pub fn add<Args: Describe, R: Describe>(&mut self, path: &str, doc: &Doc) -> bool {
        let mut operation = Operation::of_path(path);
        Args::describe(&mut operation);
        // A handler that leaves the path to `Caller` takes nothing from it but the tenant.
        if operation.has_path_names() {
            operation.path(&[TenantId::describe]);
        }
        operation.sort_parameters();
        R::describe(&mut operation);
        let (value, schemas) = operation.finish(doc);
        let needs_key = value.get("x-scopes").is_some();
        self.schemas.extend(schemas);
        if !self.tags.contains(&doc.tag) {
            self.tags.push(doc.tag);
        }
        self.paths
            .entry(path.to_owned())
            .or_default()
            .insert(doc.method.as_str().to_lowercase(), value);
        needs_key
    }

    /// The document.
    pub fn finish(&self) -> Value {
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
