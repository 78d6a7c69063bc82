//! Background loops. Each continues after failures and ends at shutdown. A loop that ends otherwise ends the
//! process, since a restart is better than a process without one of its loops.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::task::JoinSet;

use super::{Shutdown, gauges, runner, schedule, usage, webhooks};
use crate::{Service, faults::crash_here, panics::catch_panic};

/// Starts all loops; metrics tell of `worker_names` also while no worker has them. Each task returns the name of its loop and why it ended.
pub fn start(
    service: &Arc<Service>,
    worker_names: &[String],
    shutdown: &Shutdown,
) -> JoinSet<String> {
    let mut loops = JoinSet::new();
    let handles = || (Arc::clone(service), shutdown.clone());
    let mut spawn = |name, work: BoxFuture<'static, ()>| {
        let service = Arc::clone(service);
        loops.spawn(async move {
            let work = async {
                crash_here(&service, name);
                work.await;
            };
            match catch_panic(work).await {
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
    let ((service, shutdown), names) = (handles(), worker_names.to_vec());
    spawn(
        "loop_of_gauges",
        gauges::run(service, names, shutdown).boxed(),
    );
    loops
}
