//! A tracing span for every statement, without bound values, which may be secret.

use diesel::connection::{Instrumentation, InstrumentationEvent};
use tracing::Span;

/// The spans of the statements that run, with their texts: COMMIT may be sent before the result of another is there.
#[derive(Default)]
pub(crate) struct SqlSpans {
    running: Vec<(String, Span)>,
}

impl Instrumentation for SqlSpans {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let statement = text.split("-- binds").next().unwrap_or_default().trim();
                // Sent together with what follows.
                if statement.starts_with("SET LOCAL app.tenant_id") {
                    return;
                }
                // The results of these are not awaited, so their end is unknown.
                if matches!(statement, "BEGIN" | "END" | "ROLLBACK") {
                    // Nor is the end of a statement whose request was cancelled.
                    self.running.clear();
                    return;
                }
                let span = tracing::info_span!(
                    "sql",
                    otel.kind = "client",
                    db.system.name = "postgresql",
                    db.query.text = statement,
                );
                self.running.push((text, span));
            }
            InstrumentationEvent::FinishQuery { query, .. } => {
                let text = query.to_string();
                self.running.retain(|(running, _)| *running != text);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::{debug_query, pg::Pg, sql_query};

    use super::*;

    #[test]
    fn statements_that_overlap_end_one_by_one() {
        let mut spans = SqlSpans::default();
        let [insert, commit] = ["INSERT", "COMMIT"].map(sql_query);
        let [insert, commit] = [&insert, &commit].map(debug_query::<Pg, _>);
        for started in [&insert, &commit] {
            spans.on_connection_event(InstrumentationEvent::start_query(started));
        }
        spans.on_connection_event(InstrumentationEvent::finish_query(&insert, None));
        let [(left, _)] = &*spans.running else {
            panic!("one of two has ended");
        };
        assert_eq!(*left, commit.to_string());
        spans.on_connection_event(InstrumentationEvent::finish_query(&commit, None));
        assert!(spans.running.is_empty());
    }
}
