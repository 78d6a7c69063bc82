//! Validation of bodies and queries by their published schemas, before they are read: what the document says is what is
//! accepted, and a request with several mistakes is told all of them.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{HttpRequest, web};
use jsonschema::Validator;
use patchbay_domain::json_schema::compile;
use patchbay_service::{Error, Result};
use serde_json::Value;
use utoipa::ToSchema;

use crate::openapi::{body_schema, query_schema};

/// The schemas of requests, compiled when they are first used.
pub struct RequestSchemas {
    components: Value,
    compiled: Mutex<HashMap<TypeId, Arc<Validator>>>,
}

impl RequestSchemas {
    /// The schemas of this document.
    pub fn new(document: &Value) -> Self {
        Self {
            components: document["components"].clone(),
            compiled: Mutex::default(),
        }
    }

    /// The validator of bodies of this type.
    pub fn of_body<T: ToSchema + 'static>(request: &HttpRequest) -> Result<Arc<Validator>> {
        Self::of_request(request)?.validator::<T>(body_schema::<T>)
    }

    /// The validator of queries of this type: objects of strings.
    pub fn of_query<T: ToSchema + 'static>(request: &HttpRequest) -> Result<Arc<Validator>> {
        Self::of_request(request)?.validator::<T>(query_schema::<T>)
    }

    fn of_request(request: &HttpRequest) -> Result<&web::Data<Self>> {
        let schemas = request.app_data();
        schemas.ok_or_else(|| Error::internal("no schemas"))
    }

    fn validator<T: 'static>(&self, schema: fn(&Value) -> Value) -> Result<Arc<Validator>> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(&TypeId::of::<T>()) {
            return Ok(Arc::clone(known));
        }
        let validator = compile(&schema(&self.components));
        let validator = Arc::new(validator.map_err(|error| Error::internal(error.to_string()))?);
        compiled.insert(TypeId::of::<T>(), Arc::clone(&validator));
        Ok(validator)
    }
}
