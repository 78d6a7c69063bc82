//! HTTP tools: templates that render to one request.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use super::{
    body::{check_strings, each_string, fill},
    bounds::{check_bytes, check_timeout, default_answer_bytes, default_timeout},
    entries::{check_entries, check_headers, render_headers},
    origin::{climbs, origin, split},
    template::{self, Filling, Values, check_template},
};
use crate::{
    invalid::{Invalid, Place, Violation},
    template::Budget,
    text::Text,
};

/// HTTP methods of tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET.
    #[default]
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl HttpMethod {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// An HTTP request as templates over `arguments`, `secrets.NAME` and `call` (`id`, `session_id`, `agent_run_id`).
/// In `json`, a template that is a single expression keeps the type of its value; if it has no value, its entry
/// is omitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({
        "method": "POST",
        "url": "https://shop.example.org/orders/{{ arguments.number }}/notes",
        "headers": {"authorization": "Bearer {{ secrets.SHOP_TOKEN }}"},
        "json": {"text": "{{ arguments.text }}", "call": "{{ call.id }}"},
        "timeout_seconds": 10,
        "max_answer_bytes": 65536,
        "result_pointer": "/note"
    }))
)]
pub struct HttpCall {
    /// Method.
    #[serde(default)]
    pub method: HttpMethod,
    /// URL. Scheme, host and port are literal; values in the rest are percent-encoded.
    pub url: Text<1, 2000>,
    /// Headers by name; their values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Text<0, 4000>>,
    /// Query parameters by name; their values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, Text<0, 4000>>,
    /// JSON body, in which every string is a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub json: Option<Map<String, Value>>,
    /// Form-encoded body: fields by name; their values are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeMap<String, Text<0, 4000>>>,
    /// Timeout of the whole call, in seconds.
    #[serde(default = "default_timeout")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 60))]
    pub timeout_seconds: u32,
    /// Maximum size of the response, in bytes.
    #[serde(default = "default_answer_bytes")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_048_576))]
    pub max_answer_bytes: u32,
    /// JSON pointer (RFC 6901) to the part of a JSON response that the model receives; all of it by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_pointer: Option<Text<0, 500>>,
}

/// A rendered request.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: &'static str,
    /// URL.
    pub url: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body; empty for none.
    pub body: Vec<u8>,
}

impl HttpCall {
    pub(super) fn check(&self, declared: &Option<BTreeSet<&str>>, found: &mut Vec<Violation>) {
        let declared = declared.as_ref();
        if let Err(invalid) = origin(&self.url) {
            found.push(invalid.at("/http/url"));
        }
        check_template(&self.url, declared, "/http/url", found);
        check_headers(&self.headers, declared, "/http/headers", found);
        check_entries(&self.query, declared, "/http/query", found);
        if let Some(form) = &self.form {
            check_entries(form, declared, "/http/form", found);
        }
        if let Some(json) = &self.json {
            let mut place = Place::at("/http/json");
            for (name, value) in json {
                place.field(name, |at| check_strings(value, at, declared, found));
            }
        }
        if self.json.is_some() && self.form.is_some() {
            found.push(Invalid::new("one_of", "a request has one body").at("/http/form"));
        }
        if self.method == HttpMethod::Get && (self.json.is_some() || self.form.is_some()) {
            found.push(Invalid::new("no_body", "a GET has no body").at("/http/method"));
        }
        check_timeout(self.timeout_seconds, "/http", found);
        check_bytes(self.max_answer_bytes, "/http", found);
        let pointer = self.result_pointer.as_deref().unwrap_or_default();
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let invalid = Invalid::new("invalid_pointer", "a JSON pointer begins with `/`");
            found.push(invalid.at("/http/result_pointer"));
        }
    }

    pub(super) fn secrets(&self) -> BTreeSet<String> {
        let mut secrets = template::secrets(&self.url);
        let values = self.headers.values().chain(self.query.values());
        for source in values.chain(self.form.iter().flat_map(BTreeMap::values)) {
            secrets.extend(template::secrets(source));
        }
        for value in self.json.iter().flat_map(Map::values) {
            each_string(value, &mut |source| {
                secrets.extend(template::secrets(source))
            });
        }
        secrets
    }

    /// Renders the request, all its templates under one budget.
    pub fn render(&self, values: &Values<'_>, budget: Budget) -> Result<HttpRequest, Invalid> {
        let mut filling = Filling::new(values, budget);
        let mut headers = render_headers(&self.headers, &mut filling)?;
        let (body, kind) = self.render_body(&mut filling)?;
        let typed = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = kind.filter(|_| !typed) {
            headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        Ok(HttpRequest {
            method: self.method.as_str(),
            url: self.render_url(&mut filling)?,
            headers,
            body,
        })
    }

    fn render_url(&self, filling: &mut Filling<'_>) -> Result<String, Invalid> {
        let (_, rest) = split(&self.url);
        let rest = filling.url(rest)?;
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        if climbs(path) {
            let message = "a segment of a path may not be `.` or `..`";
            return Err(Invalid::new("path_climbs", message));
        }
        let origin = origin(&self.url)?;
        let joined = format!("{}{rest}", origin.as_str().trim_end_matches('/'));
        let mut url = Url::parse(&joined)
            .ok()
            .filter(|url| url.origin() == origin.origin())
            .ok_or_else(|| Invalid::new("invalid_url", "the URL leads elsewhere"))?;
        for (name, source) in &self.query {
            if let Some(value) = filling.text(source)? {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        Ok(url.into())
    }

    fn render_body(
        &self,
        filling: &mut Filling<'_>,
    ) -> Result<(Vec<u8>, Option<&'static str>), Invalid> {
        if let Some(json) = &self.json {
            let mut filled = Map::new();
            for (name, value) in json {
                if let Some(value) = fill(value, filling)? {
                    filled.insert(name.clone(), value);
                }
            }
            let body = Value::Object(filled).to_string();
            return Ok((body.into_bytes(), Some("application/json")));
        }
        let Some(form) = &self.form else {
            return Ok((Vec::new(), None));
        };
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, source) in form {
            if let Some(value) = filling.text(source)? {
                body.append_pair(name, &value);
            }
        }
        let kind = "application/x-www-form-urlencoded";
        Ok((body.finish().into_bytes(), Some(kind)))
    }

    /// The part of a response body that the model receives.
    pub fn result(&self, body: &[u8]) -> Result<Value, Invalid> {
        let json = serde_json::from_slice::<Value>(body);
        match (self.result_pointer.as_deref(), json) {
            (None, Ok(json)) => Ok(json),
            (None, Err(_)) => Ok(String::from_utf8_lossy(body).into()),
            (Some(pointer), Ok(mut json)) => {
                let found = json.pointer_mut(pointer).map(Value::take);
                let message = format!("the answer has nothing at `{pointer}`");
                found.ok_or_else(|| Invalid::new("result_missing", message))
            }
            (Some(_), Err(_)) => Err(Invalid::new("not_json", "the answer is not JSON")),
        }
    }
}
