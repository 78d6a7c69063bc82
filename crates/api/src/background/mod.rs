//! Loops beside the requests. Each survives its own failures and ends when the process is asked to.

mod jobs;
mod usage;
mod webhooks;

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};

use crate::app::App;

/// Told once when the process is to end.
pub type Shutdown = watch::Receiver<bool>;

/// Starts all loops.
pub fn start(app: &Arc<App>, shutdown: &Shutdown) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    loops.spawn(jobs::run(Arc::clone(app), shutdown.clone()));
    loops.spawn(jobs::run_ingests(Arc::clone(app), shutdown.clone()));
    loops.spawn(jobs::listen(Arc::clone(app), shutdown.clone()));
    loops.spawn(webhooks::run(Arc::clone(app), shutdown.clone()));
    loops.spawn(usage::run(Arc::clone(app), shutdown.clone()));
    loops
}
