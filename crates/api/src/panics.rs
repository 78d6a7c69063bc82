//! Logging of panics, and work that continues after the client disconnects.

use std::{
    any::Any,
    panic::set_hook,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use actix_web::rt;
use patchbay_service::{Error, Result, panics::catch_panic, trace};

/// Names of library threads that are essential to the service and are not restarted after a panic.
pub const VITAL: [&str; 1] = ["actix-server acceptor"];

/// Runs the work to completion, even if the request that started it is dropped.
pub async fn run_to_completion<T: 'static>(
    work: impl Future<Output = Result<T>> + 'static,
) -> Result<T> {
    let done = rt::spawn(trace::carried(catch_panic(work))).await;
    done.map_err(Error::internal)?.map_err(Error::internal)?
}

/// Installs a panic hook that logs every panic, and aborts the process after one in a [`VITAL`] thread, without
/// which it would only work in part.
pub fn log_panics() {
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
            payload = static_message(panic.payload()),
            count,
            is_vital,
            "panicked"
        );
        if is_vital {
            eprintln!("patchbay-api: the essential thread `{thread}` panicked");
            std::process::abort();
        }
    }));
}

/// The message if it is a literal; a formatted message may contain data of a tenant.
fn static_message(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}
