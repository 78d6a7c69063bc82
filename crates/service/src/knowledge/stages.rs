//! How far the stages of an ingest have come.

use chrono::{DateTime, Utc};
use patchbay_domain::knowledge::Stage;
use serde::{Deserialize, Serialize};

/// How far one stage has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageProgress {
    /// The stage.
    pub stage: Stage,
    /// Pages or chunks that are done.
    pub done: u32,
    /// All of them; 0 while that is not known.
    pub total: u32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The stages so far, the current one last.
#[derive(Default)]
pub(super) struct Stages(pub Vec<StageProgress>);

impl Stages {
    /// The current stage.
    pub fn current(&self) -> Option<Stage> {
        self.0.last().map(|last| last.stage)
    }

    /// Enters a stage; the one before is over.
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

    /// The current stage is over.
    pub fn close(&mut self, now: DateTime<Utc>) {
        if let Some(last) = self.0.last_mut() {
            last.finished_at.get_or_insert(now);
            last.done = last.done.max(last.total);
        }
    }

    /// Sets what of the current stage is done.
    pub fn set_done(&mut self, done: u32) {
        if let Some(last) = self.0.last_mut() {
            last.done = done;
        }
    }

    /// Sets what of the current stage is done, and how much there is.
    pub fn set_progress(&mut self, done: u32, total: u32) {
        if let Some(last) = self.0.last_mut() {
            (last.done, last.total) = (done, total);
        }
    }
}
