//! Registered workers: whether they are alive, and what they can run.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{RuntimeConfigVersionId, runtime::RuntimeSpec, worker::Abilities};
use patchbay_persistence::{
    TenantTx, artifacts,
    workers::{self, Totals, Worker},
};

use crate::{Code, Error, Result, Service};

/// The time at which a worker that is alive was seen at the earliest.
pub fn alive_after(service: &Service) -> DateTime<Utc> {
    let timeout = TimeDelta::from_std(service.settings.worker_timeout);
    service.clock.now() - timeout.unwrap_or(TimeDelta::MAX)
}

/// Totals of the workers that are alive.
pub async fn totals(service: &Service) -> Result<Totals> {
    let mut connection = service.db.connection().await?;
    Ok(workers::totals(&mut connection, alive_after(service)).await?)
}

/// Why no live worker of this name can run a runtime config, as sentences; empty if one can, or if no worker has ever
/// registered, since one that does not register may.
pub async fn obstacles(
    service: &Service,
    tx: &mut TenantTx,
    worker_name: &str,
    config: RuntimeConfigVersionId,
) -> Result<Vec<String>> {
    let alive_after = alive_after(service);
    let registered = workers::of_name(tx, worker_name).await?;
    if registered.is_empty() {
        return Ok(Vec::new());
    }
    let is_alive = |worker: &Worker| worker.is_alive(alive_after);
    let live: Vec<_> = registered.into_iter().filter(is_alive).collect();
    if live.is_empty() {
        return Ok(vec!["No worker of the agent is alive.".to_owned()]);
    }
    let version = artifacts::find_spec(tx, config.into()).await?;
    let spec = version.ok_or_else(|| Error::internal("a binding without its versions"))?;
    let spec: RuntimeSpec = spec.read().map_err(Error::internal)?;
    let missing = live.into_iter().map(|worker| {
        let abilities = abilities(worker)?;
        Ok(abilities.missing(&spec))
    });
    let missing: Vec<Vec<String>> = missing.collect::<Result<_>>()?;
    // The worker that lacks the least is the one to mend.
    let least = missing.into_iter().min_by_key(Vec::len).unwrap_or_default();
    let sentences = least.into_iter().map(|missing| {
        format!("No live worker of the agent can run the binding: the nearest one lacks {missing}.")
    });
    Ok(sentences.collect())
}

/// Refuses what no live worker can run.
pub fn require_none(obstacles: &[String]) -> Result<()> {
    match obstacles {
        [] => Ok(()),
        found => Err(Error::new(Code::NoCapableWorker, found.join(" "))),
    }
}

fn abilities(worker: Worker) -> Result<Abilities> {
    Ok(Abilities {
        kinds: worker.kinds,
        plugins: serde_json::from_value(worker.plugins).map_err(Error::internal)?,
    })
}
