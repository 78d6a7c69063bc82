//! Loops beside the requests. Each survives its own failures and ends when the process is asked to; one
//! that ends otherwise ends the process, which is better started anew than left half alive.

mod jobs;
mod usage;
mod webhooks;

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{sync::watch, task::JoinSet};

use crate::{app::App, flows::sync::crash_here, panics::caught};

/// Told once when the process is to end.
pub type Shutdown = watch::Receiver<bool>;

/// Starts all loops. Each answers, when it ends, which it was and how.
pub fn start(app: &Arc<App>, shutdown: &Shutdown) -> JoinSet<String> {
    let mut loops = JoinSet::new();
    let of = || (Arc::clone(app), shutdown.clone());
    let mut begin = |name, work: BoxFuture<'static, ()>| {
        let app = Arc::clone(app);
        loops.spawn(async move {
            let work = async {
                crash_here(&app, name);
                work.await;
            };
            match caught(work).await {
                Ok(()) => format!("{name} has ended"),
                Err(panicked) => format!("{name}: {panicked}"),
            }
        });
    };
    let (app, told) = of();
    begin("loop_of_jobs", jobs::run(app, told).boxed());
    let (app, told) = of();
    begin("loop_of_ingests", jobs::run_ingests(app, told).boxed());
    let (app, told) = of();
    begin("loop_of_notifications", jobs::listen(app, told).boxed());
    let (app, told) = of();
    begin("loop_of_webhooks", webhooks::run(app, told).boxed());
    let (app, told) = of();
    begin("loop_of_usage", usage::run(app, told).boxed());
    loops
}
