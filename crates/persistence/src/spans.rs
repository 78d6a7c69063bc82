//! A tracing span for every statement, without bound values, which may be secret.

use diesel::connection::{Instrumentation, InstrumentationEvent};
use tracing::Span;

/// The span of the current statement.
#[derive(Default)]
pub(crate) struct SqlSpans {
    running: Option<Span>,
}

impl Instrumentation for SqlSpans {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let statement = text.split("-- binds").next().unwrap_or_default().trim();
                // The results of these are not awaited, so their end is unknown.
                if statement.starts_with("BEGIN") || matches!(statement, "COMMIT" | "ROLLBACK") {
                    return;
                }
                self.running = Some(tracing::info_span!(
                    "sql",
                    otel.kind = "client",
                    db.system.name = "postgresql",
                    db.query.text = statement,
                ));
            }
            InstrumentationEvent::FinishQuery { .. } => self.running = None,
            _ => {}
        }
    }
}
