//! W3C trace contexts: what a request belongs to is carried on by its jobs, its dispatches and the requests of its tools.
//!
//! A context comes from the span at hand if spans are exported, or else is passed on as it was received.

use std::collections::HashMap;

use opentelemetry::{
    propagation::{Extractor, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Name of the header, and of the field of a dispatch's metadata.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static RECEIVED: Option<String>;
}

struct One<'a>(&'a str);

impl Extractor for One<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }
    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// The trace context, if this text is one: its ids and flags alone, whatever else the text has.
pub fn parse(text: &str) -> Option<String> {
    let context = TraceContextPropagator::new().extract(&One(text));
    let span = context.span().span_context().clone();
    let (trace, parent, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
    span.is_valid()
        .then(|| format!("00-{trace}-{parent}-{:02x}", flags.to_u8()))
}

/// The id of the trace that a context belongs to.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

/// Records the id of the span's trace in its field `trace_id`, if spans are exported.
pub fn record_id(span: &Span) {
    let context = span.context();
    let context = context.span().span_context().clone();
    if context.is_valid() {
        span.record("trace_id", tracing::field::display(context.trace_id()));
    }
}

/// Runs this within a trace that was received, and makes the span a part of it, which must not have been entered before.
pub async fn within<T>(received: Option<String>, span: &Span, work: impl Future<Output = T>) -> T {
    if let Some(received) = &received {
        let context = TraceContextPropagator::new().extract(&One(received));
        if let Err(error) = span.set_parent(context) {
            tracing::debug!(%error, "the span has begun apart from its trace");
        }
    }
    RECEIVED.scope(received, work).await
}

/// Work for another task, which goes on in the same trace and span.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let received = RECEIVED.try_with(Clone::clone).ok().flatten();
    RECEIVED.scope(received, work).instrument(Span::current())
}

/// The context of what is being done, if there is one.
pub fn current() -> Option<String> {
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return RECEIVED.try_with(Clone::clone).ok().flatten();
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const CONTEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[tokio::test]
    async fn a_context_is_passed_on_as_it_was_received() {
        assert_eq!(current(), None);
        let seen = within(parse(CONTEXT), &Span::none(), async { current() }).await;
        assert_eq!(seen.as_deref(), Some(CONTEXT));
        assert_eq!(trace_id(CONTEXT), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn only_ids_and_flags_are_kept() {
        let longer = CONTEXT.replacen("00-", "01-", 1) + "-jane@example.com";
        assert_eq!(parse(&longer).as_deref(), Some(CONTEXT));
    }

    #[tokio::test]
    async fn a_span_that_is_exported_continues_the_trace() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        let _guard = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("job");
        let work = async { current() }.instrument(span.clone());
        let seen = within(parse(CONTEXT), &span, work).await.unwrap();
        assert_eq!(trace_id(&seen), trace_id(CONTEXT));
        assert_ne!(seen, CONTEXT, "the span is the parent of what follows");
    }

    #[test]
    fn other_text_is_no_context() {
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
