//! The periodic jobs, and word of jobs that other processes have recorded.

use std::{sync::Arc, time::Duration};

use patchbay_domain::states::JobKind;
use patchbay_persistence::jobs;

use super::Shutdown;
use crate::{Result, Service};

/// Jobs of the installation itself.
const PERIODIC: [JobKind; 4] = [
    JobKind::RoomSweep,
    JobKind::SipSweep,
    JobKind::ObjectSweep,
    JobKind::Purge,
];

/// Makes sure of the periodic jobs; false where the database could not be asked.
pub(super) async fn seed(service: &Service) -> bool {
    let seeded = async {
        let mut connection = service.db.connection().await?;
        for kind in PERIODIC {
            jobs::seed(&mut connection, kind, service.clock.now()).await?;
        }
        Result::Ok(())
    };
    let outcome = seeded.await;
    if let Err(error) = &outcome {
        tracing::warn!(%error, "the periodic jobs could not be scheduled yet");
    }
    outcome.is_ok()
}

/// Hears of jobs that other processes have recorded.
pub async fn listen(service: Arc<Service>, mut shutdown: Shutdown) {
    while !*shutdown.borrow() {
        let hear = async {
            match service.db.listen().await {
                Ok(mut listener) => {
                    while listener.next().await.is_some() {
                        service.job_due.notify_one();
                        service.ingest_due.notify_one();
                    }
                }
                Err(error) => tracing::debug!(%error, "not listening; jobs are polled for"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            () = hear => {}
            _ = shutdown.changed() => {}
        }
    }
}
