//! A span for every statement, for traces. Bound values are left out: they may be secret.

use diesel::connection::{Instrumentation, InstrumentationEvent};
use tracing::Span;

/// The statement that runs on a connection now.
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
                // Nobody waits for these, so there is no moment at which they end.
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
