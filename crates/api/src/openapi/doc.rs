//! What a route says of itself beyond its types.

use std::borrow::Cow;

use actix_web::http::Method;
use patchbay_domain::limits::Class;
use patchbay_service::Code;

use super::tag::Tag;

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// As long as any request.
    Usual,
    /// A tool's, or a telephone's, longest time on top.
    Tool,
    /// An upload's longest time on top.
    Upload,
}

/// What a route says of itself.
#[derive(Clone, Debug)]
pub struct Doc {
    /// The method.
    pub method: Method,
    /// Operation id: unique, in camelCase.
    pub id: Cow<'static, str>,
    /// The group it is shown in.
    pub tag: Tag,
    /// One line.
    pub summary: Cow<'static, str>,
    /// What a caller must know.
    pub description: Cow<'static, str>,
    /// The conflicts that can occur, besides what follows from the types.
    pub errors: &'static [Code],
    /// Which rate limit it counts against.
    pub class: Class,
    /// How long it may take.
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
            time: TimeLimit::Usual,
        }
    }

    /// A GET with this operation id and summary.
    pub fn get(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::GET, Class::Reads, id, summary)
    }

    /// A POST with this operation id and summary.
    pub fn post(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::POST, Class::Writes, id, summary)
    }

    /// A PUT with this operation id and summary.
    pub fn put(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PUT, Class::Writes, id, summary)
    }

    /// A PATCH with this operation id and summary.
    pub fn patch(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::PATCH, Class::Writes, id, summary)
    }

    /// A DELETE with this operation id and summary.
    pub fn delete(id: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Method::DELETE, Class::Writes, id, summary)
    }

    /// What a caller must know.
    pub fn about(self, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }

    /// The conflicts that can occur.
    pub fn errors(self, errors: &'static [Code]) -> Self {
        Self { errors, ..self }
    }

    /// It counts as a start: it makes something happen outside.
    pub fn starts(self) -> Self {
        Self {
            class: Class::Starts,
            ..self
        }
    }

    /// How long it may take.
    pub fn time(self, time: TimeLimit) -> Self {
        Self { time, ..self }
    }
}
