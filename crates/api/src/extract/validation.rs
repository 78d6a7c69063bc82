//! Validation of bodies and queries by their published schemas, before they are read: what the document says is what is
//! accepted, and a request with several mistakes is told all of them.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use actix_web::{HttpRequest, web};
use jsonschema::Validator;
use patchbay_domain::{
    Violation,
    json_schema::{compile, violations},
};
use patchbay_service::{Error, Result};
use serde_json::Value;
use utoipa::ToSchema;

use crate::openapi::{body_schema, query_schema};

/// The schemas of requests, compiled when they are first used.
pub struct RequestSchemas {
    components: Value,
    compiled: RwLock<HashMap<TypeId, Arc<RequestSchema>>>,
}

/// A compiled schema.
pub struct RequestSchema {
    validator: Validator,
    /// The fields that are arrays.
    lists: Vec<String>,
}

impl RequestSchema {
    fn new(schema: &Value) -> Result<Self> {
        let validator = compile(schema);
        let fields = schema["properties"].as_object().into_iter().flatten();
        let lists = fields.filter(|(_, field)| field["type"] == "array");
        Ok(Self {
            validator: validator.map_err(|error| Error::internal(error.to_string()))?,
            lists: lists.map(|(name, _)| name.clone()).collect(),
        })
    }

    /// Returns the violations of a value.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        violations(&self.validator, value)
    }

    /// Whether a query may repeat this parameter.
    pub fn is_list(&self, name: &str) -> bool {
        self.lists.iter().any(|list| list == name)
    }
}

impl RequestSchemas {
    /// The schemas of this document.
    pub fn new(document: &Value) -> Self {
        Self {
            components: document["components"].clone(),
            compiled: RwLock::default(),
        }
    }

    /// The schema of bodies of this type.
    pub fn of_body<T: ToSchema + 'static>(request: &HttpRequest) -> Result<Arc<RequestSchema>> {
        Self::of_request(request)?.compiled::<T>(body_schema::<T>)
    }

    /// The schema of queries of this type: objects of strings and of arrays of strings.
    pub fn of_query<T: ToSchema + 'static>(request: &HttpRequest) -> Result<Arc<RequestSchema>> {
        Self::of_request(request)?.compiled::<T>(query_schema::<T>)
    }

    fn of_request(request: &HttpRequest) -> Result<&web::Data<Self>> {
        let schemas = request.app_data();
        schemas.ok_or_else(|| Error::internal("no schemas"))
    }

    /// Several requests may compile a schema at the same time, and then all keep the first one.
    fn compiled<T: 'static>(&self, schema: fn(&Value) -> Value) -> Result<Arc<RequestSchema>> {
        let id = TypeId::of::<T>();
        let known = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&id) {
            return Ok(Arc::clone(known));
        }
        drop(known);
        let schema = Arc::new(RequestSchema::new(&schema(&self.components))?);
        let mut compiled = self
            .compiled
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(compiled.entry(id).or_insert(schema)))
    }
}
