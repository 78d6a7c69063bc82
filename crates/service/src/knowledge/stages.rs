//! Progress of the stages of an ingest.

use chrono::{DateTime, Utc};
use patchbay_domain::knowledge::Stage;
use serde::{Deserialize, Serialize};

use crate::instruments::record_stage;

/// Progress of one stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageProgress {
    /// The stage.
    pub stage: Stage,
    /// Number of completed pages or chunks.
    pub done: u32,
    /// Total number of pages or chunks; 0 while unknown.
    pub total: u32,
    /// Start of the stage.
    pub started_at: DateTime<Utc>,
    /// End of the stage.
    pub finished_at: Option<DateTime<Utc>>,
}

impl StageProgress {
    fn record(&self, is_done: bool, now: DateTime<Utc>) {
        let took = (now - self.started_at).to_std();
        record_stage(self.stage, is_done, took.unwrap_or_default());
    }
}

/// The stages so far, the current one last.
#[derive(Default)]
pub(super) struct Stages(pub Vec<StageProgress>);

impl Stages {
    /// The current stage.
    pub fn current(&self) -> Option<Stage> {
        self.0.last().map(|last| last.stage)
    }

    /// Enters a stage, and ends the previous one.
    pub fn enter(&mut self, stage: Stage, total: u32, now: DateTime<Utc>) {
        self.close(now);
        self.0.push(StageProgress {
            stage,
            done: 0,
            total,
            started_at: now,
            finished_at: None,
        });
    }

    /// Ends the current stage.
    pub fn close(&mut self, now: DateTime<Utc>) {
        if let Some(last) = self.0.last_mut() {
            if last.finished_at.is_none() {
                last.record(true, now);
            }
            last.finished_at.get_or_insert(now);
            last.done = last.done.max(last.total);
        }
    }

    /// Counts the current stage as failed.
    pub fn fail(&self, now: DateTime<Utc>) {
        if let Some(last) = self.0.last() {
            last.record(false, now);
        }
    }

    /// Sets the completed number of the current stage.
    pub fn set_done(&mut self, done: u32) {
        if let Some(last) = self.0.last_mut() {
            last.done = done;
        }
    }

    /// Sets the completed and total number of the current stage.
    pub fn set_progress(&mut self, done: u32, total: u32) {
        if let Some(last) = self.0.last_mut() {
            (last.done, last.total) = (done, total);
        }
    }
}
