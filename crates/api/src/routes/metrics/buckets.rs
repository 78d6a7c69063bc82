//! Metrics of the rows that were counted, by time bucket.

use chrono::{DateTime, Utc};
use patchbay_persistence::metrics::{self, Span};
use patchbay_service::metrics::Figures;

use super::dto::{CallGroup, MetricsBucket, SessionGroup};

/// Fills the buckets of the span.
pub fn fill(span: &Span, found: Figures) -> Vec<MetricsBucket> {
    let mut buckets = Buckets::of(span);
    buckets.add_sessions(found.sessions);
    buckets.add_session_kinds(found.session_kinds);
    buckets.add_calls(found.calls);
    buckets.add_call_kinds(found.call_kinds);
    buckets.add_peaks(found.peaks);
    buckets.add_usage(found.usage);
    buckets.add_tool_calls(found.tool_calls);
    buckets.add_knowledge(found.knowledge);
    buckets.0
}

struct Buckets(Vec<MetricsBucket>);

impl Buckets {
    fn of(span: &Span) -> Self {
        let empty = |start: &DateTime<Utc>| MetricsBucket {
            start: (*start).into(),
            ..MetricsBucket::default()
        };
        Self(span.starts.iter().map(empty).collect())
    }

    /// Returns the bucket with this number, counted from 1 as by PostgreSQL's `width_bucket`.
    fn at(&mut self, number: i32) -> Option<&mut MetricsBucket> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.0.get_mut(index)
    }

    fn add_sessions(&mut self, rows: Vec<metrics::Sessions>) {
        for mut row in rows {
            let key = row.key.take();
            let Some(bucket) = self.at(row.bucket) else {
                continue;
            };
            match key {
                None => bucket.sessions = row.into(),
                Some(key) => bucket.session_groups.push(SessionGroup {
                    key,
                    figures: row.into(),
                }),
            }
        }
        for bucket in &mut self.0 {
            bucket.session_groups.sort_by(|a, b| a.key.cmp(&b.key));
        }
    }

    fn add_session_kinds(&mut self, rows: Vec<metrics::SessionKinds>) {
        for row in rows {
            let Some(bucket) = self.at(row.bucket) else {
                continue;
            };
            *bucket.session_outcomes.entry(row.outcome).or_default() += row.sessions;
            if let Some(reason) = row.reason {
                *bucket.session_reasons.entry(reason).or_default() += row.sessions;
            }
        }
    }

    fn add_calls(&mut self, rows: Vec<metrics::Calls>) {
        for mut row in rows {
            let key = row.key.take();
            let Some(bucket) = self.at(row.bucket) else {
                continue;
            };
            match key {
                None => bucket.calls = row.into(),
                Some(key) => bucket.call_groups.push(CallGroup {
                    key,
                    figures: row.into(),
                }),
            }
        }
        for bucket in &mut self.0 {
            bucket.call_groups.sort_by(|a, b| a.key.cmp(&b.key));
        }
    }

    fn add_call_kinds(&mut self, rows: Vec<metrics::CallKinds>) {
        for row in rows {
            let Some(bucket) = self.at(row.bucket) else {
                continue;
            };
            *bucket.call_directions.entry(row.direction).or_default() += row.calls;
            *bucket.call_outcomes.entry(row.outcome).or_default() += row.calls;
            if let Some(reason) = row.reason {
                *bucket.call_reasons.entry(reason).or_default() += row.calls;
            }
        }
    }

    fn add_peaks(&mut self, rows: Vec<metrics::Peak>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.concurrent_calls_peak = row.peak;
            }
        }
    }

    fn add_usage(&mut self, rows: Vec<metrics::Usage>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.input_tokens = row.input_tokens;
                bucket.output_tokens = row.output_tokens;
                bucket.audio_seconds = row.audio_seconds;
                bucket.characters = row.characters;
            }
        }
    }

    fn add_knowledge(&mut self, rows: Vec<metrics::Knowledge>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.files = row.files;
                bucket.file_bytes = row.bytes;
                bucket.chunks = row.chunks;
                bucket.searches = row.searches;
                bucket.embedding_seconds = (row.embedding_seconds * 1000.0).round() / 1000.0;
            }
        }
    }

    fn add_tool_calls(&mut self, rows: Vec<metrics::ToolCalls>) {
        for row in rows {
            if let Some(bucket) = self.at(row.bucket) {
                bucket.tool_calls = row.calls;
                bucket.tool_failures = row.failures;
            }
        }
    }
}
