//! Panics in the log, and work that is seen through.

use std::{
    any::Any,
    panic::set_hook,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use actix_web::rt;
use patchbay_service::{Error, Result, panics::caught};

/// Threads of libraries that nobody starts again and the service is nothing without.
pub const VITAL: [&str; 1] = ["actix-server acceptor"];

/// Does the work to its end, also where whoever asked for it does not wait any more.
pub async fn seen_through<T: 'static>(
    work: impl Future<Output = Result<T>> + 'static,
) -> Result<T> {
    let done = rt::spawn(caught(work)).await;
    done.map_err(Error::internal)?.map_err(Error::internal)?
}

/// From now on every panic is a line of the log. One of a thread without which the service would be half
/// alive ends the process.
pub fn log_all() {
    set_hook(Box::new(|panic| {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        let thread = thread::current();
        let thread = thread.name().unwrap_or_default();
        let at = panic.location().map(ToString::to_string);
        let is_vital = VITAL.contains(&thread);
        tracing::error!(
            thread,
            at,
            words = words(panic.payload()),
            count,
            is_vital,
            "panicked"
        );
        if is_vital {
            eprintln!("patchbay-api: {thread} panicked, and nothing works without it");
            std::process::abort();
        }
    }));
}

/// Only those that stand in the program: what is put together may hold what a tenant sent.
fn words(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}
