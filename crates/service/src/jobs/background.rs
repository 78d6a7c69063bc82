//! Loops beside the requests. Each survives its own failures and ends when the process is asked to; one
//! that ends otherwise ends the process, which is better started anew than left half alive.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::task::JoinSet;

use super::{Shutdown, runner, schedule, usage, webhooks};
use crate::{Service, faults::crash_here, panics::caught};

/// Starts all loops. Each answers, when it ends, which it was and how.
pub fn start(service: &Arc<Service>, shutdown: &Shutdown) -> JoinSet<String> {
    let mut loops = JoinSet::new();
    let handles = || (Arc::clone(service), shutdown.clone());
    let mut spawn = |name, work: BoxFuture<'static, ()>| {
        let service = Arc::clone(service);
        loops.spawn(async move {
            let work = async {
                crash_here(&service, name);
                work.await;
            };
            match caught(work).await {
                Ok(()) => format!("{name} has ended"),
                Err(panicked) => format!("{name}: {panicked}"),
            }
        });
    };
    let (service, shutdown) = handles();
    spawn("loop_of_jobs", runner::run(service, shutdown).boxed());
    let (service, shutdown) = handles();
    spawn(
        "loop_of_ingests",
        runner::run_ingests(service, shutdown).boxed(),
    );
    let (service, shutdown) = handles();
    spawn(
        "loop_of_notifications",
        schedule::listen(service, shutdown).boxed(),
    );
    let (service, shutdown) = handles();
    spawn("loop_of_webhooks", webhooks::run(service, shutdown).boxed());
    let (service, shutdown) = handles();
    spawn("loop_of_usage", usage::run(service, shutdown).boxed());
    loops
}
