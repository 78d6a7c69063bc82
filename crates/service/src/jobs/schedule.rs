//! Creates the periodic jobs, and listens for jobs that other processes have enqueued.

use std::{sync::Arc, time::Duration};

use patchbay_domain::states::JobKind;
use patchbay_persistence::{Route, jobs};

use super::Shutdown;
use crate::{Result, Service};

/// Periodic jobs of the installation, which belong to no tenant.
const PERIODIC: [JobKind; 5] = [
    JobKind::RoomSweep,
    JobKind::SipSweep,
    JobKind::ObjectSweep,
    JobKind::Purge,
    JobKind::Retention,
];

/// Creates the periodic jobs that do not exist yet; returns false if the database could not be reached.
pub(super) async fn seed(service: &Service) -> bool {
    let seeded = async {
        let mut connection = service.db.connection().await?;
        for kind in PERIODIC {
            jobs::seed(&mut connection, &service.clock, kind).await?;
        }
        Result::Ok(())
    };
    let outcome = seeded.await;
    if let Err(error) = &outcome {
        tracing::warn!(%error, "the periodic jobs could not be created yet");
    }
    outcome.is_ok()
}

/// Says so if notifications do not arrive: jobs are then found by polling.
async fn warn_of_pooler(service: &Service) {
    if let Ok(Route::Pooled) = service.db.route_of_notifications().await {
        tracing::warn!(
            "notifications of due jobs do not arrive through a pooler, so they are polled: DATABASE_LISTEN_URL must reach \
             PostgreSQL directly"
        );
    }
}

/// Wakes the job loops when other processes enqueue jobs, until shutdown.
pub async fn listen(service: Arc<Service>, mut shutdown: Shutdown) {
    let mut is_route_known = false;
    while !*shutdown.borrow() {
        let listening = async {
            match service.db.listen().await {
                Ok(mut listener) => {
                    if !std::mem::replace(&mut is_route_known, true) {
                        warn_of_pooler(&service).await;
                    }
                    while listener.next().await.is_some() {
                        service.job_due.notify_one();
                        service.ingest_due.notify_one();
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot listen for notifications; jobs are polled")
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            () = listening => {}
            _ = shutdown.changed() => {}
        }
    }
}
