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

/// What is missing to run a runtime config, one list for each live worker of this name. If any is empty, or no worker
/// has registered, nothing is known to be missing and the result is empty. An agent whose workers are all gone lacks a
/// live worker.
pub async fn missing(
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
    let live = registered
        .into_iter()
        .filter(|worker| worker.seen_at > alive_after);
    let live: Vec<_> = live.collect();
    if live.is_empty() {
        return Ok(vec![format!("a live worker of the name `{worker_name}`")]);
    }
    let version = artifacts::find_spec(tx, config.into()).await?;
    let spec = version.ok_or_else(|| Error::internal("a binding without its versions"))?;
    let spec: RuntimeSpec = spec.read().map_err(Error::internal)?;
    let lists = live.into_iter().map(|worker| {
        let abilities = abilities(worker)?;
        Ok(abilities.missing(&spec))
    });
    let lists: Vec<Vec<String>> = lists.collect::<Result<_>>()?;
    // The worker that lacks the least is the one to mend.
    Ok(lists.into_iter().min_by_key(Vec::len).unwrap_or_default())
}

/// Refuses what no live worker can run.
pub fn require_none(missing: &[String]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!("No live worker of the agent has {}.", missing.join(", "));
    Err(Error::new(Code::NoCapableWorker, detail))
}

fn abilities(worker: Worker) -> Result<Abilities> {
    Ok(Abilities {
        kinds: worker.kinds,
        plugins: serde_json::from_value(worker.plugins).map_err(Error::internal)?,
    })
}
