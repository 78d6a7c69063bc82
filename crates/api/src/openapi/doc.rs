//! Documentation of a route beyond its types.

use std::{borrow::Cow, time::Duration};

use actix_web::http::Method;
use patchbay_domain::{limits::Class, tool::MAX_TIMEOUT_SECONDS};
use patchbay_service::Code;

use super::tag::Tag;
use crate::settings::Settings;

/// The time limit of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// The configured request timeout.
    Standard,
    /// Plus the maximum duration of a tool call, which also covers call actions.
    Tool,
    /// Plus the upload timeout.
    Upload,
}

impl TimeLimit {
    /// The limit under these settings.
    pub fn duration(self, settings: &Settings) -> Duration {
        let settings = &settings.service;
        let more = match self {
            Self::Standard => Duration::ZERO,
            Self::Tool => Duration::from_secs(MAX_TIMEOUT_SECONDS.into()),
            Self::Upload => settings.knowledge.upload_timeout,
        };
        settings.request_timeout + more
    }
}

/// Documentation of a route.
#[derive(Clone, Debug)]
pub struct Doc {
    /// HTTP method.
    pub method: Method,
    /// Operation id: unique, in camelCase.
    pub id: Cow<'static, str>,
    /// Tag of the operation.
    pub tag: Tag,
    /// Summary, on one line.
    pub summary: Cow<'static, str>,
    /// Description.
    pub description: Cow<'static, str>,
    /// Errors that can occur, besides those of the types.
    pub errors: &'static [Code],
    /// The rate limit that requests count against.
    pub class: Class,
    /// Time limit of requests.
    pub time: TimeLimit,
}

impl Doc {
    fn new(
        method: Method,
        class: Class,
        id: impl Into<Cow<'static, str>>,
        summary: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            method,
            id: id.into(),
            tag: Tag::Service,
            summary: summary.into(),
            description: "".into(),
            errors: &[],
            class,
            time: TimeLimit::Standard,
        }
    }

    /// Creates a GET with this operation id and summary.
    pub fn get(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::GET, Class::Reads, id, summary)
    }

    /// Creates a POST with this operation id and summary.
    pub fn post(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::POST, Class::Writes, id, summary)
    }

    /// Creates a PUT with this operation id and summary.
    pub fn put(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PUT, Class::Writes, id, summary)
    }

    /// Creates a PATCH with this operation id and summary.
    pub fn patch(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PATCH, Class::Writes, id, summary)
    }

    /// Creates a DELETE with this operation id and summary.
    pub fn delete(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::DELETE, Class::Writes, id, summary)
    }

    /// Sets the description.
    pub fn about(self, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }

    /// Sets the errors that can occur.
    pub fn errors(self, errors: &'static [Code]) -> Self {
        Self { errors, ..self }
    }

    /// Counts requests against the limit of starts: they have an external effect.
    pub fn starts(self) -> Self {
        Self {
            class: Class::Starts,
            ..self
        }
    }

    /// Sets the time limit.
    pub fn time(self, time: TimeLimit) -> Self {
        Self { time, ..self }
    }
}
