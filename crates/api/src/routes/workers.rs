//! Registration of worker processes.

use patchbay_domain::{
    Invalid,
    text::{Name, Text},
    worker::Plugin,
};
use patchbay_persistence::workers::{self, Worker as Row};
use patchbay_service::{Code, Error, Result, Service, workers::alive_after};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    extract::{
        Caller, Json, List, Path, WorkerId, flag,
        scopes::{Operator, Worker as WorkerScope},
    },
    openapi::{Doc, Tag},
    response::{Deleted, Entity, Page, Resource},
    router::Api,
    timestamp::Timestamp,
};

/// Heartbeats until a worker counts as gone.
const HEARTBEATS: u64 = 3;

/// A worker process that has registered.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "worker-1",
    "worker_name": "patchbay-agent",
    "version": "1.0.0",
    "kinds": ["echo", "pipeline"],
    "plugins": [{"name": "openai", "version": "1.8.9", "has_key": true}],
    "capacity": 50,
    "running": 3,
    "draining": false,
    "alive": true,
    "heartbeat_seconds": 10,
    "registered_at": "2026-11-23T20:00:00Z",
    "seen_at": "2026-11-23T20:00:00Z"
}))]
pub struct Worker {
    /// Id that the worker has chosen.
    #[schema(max_length = 100)]
    id: String,
    /// LiveKit agent name under which it takes dispatches.
    #[schema(max_length = 200)]
    worker_name: String,
    /// Version of the worker.
    #[schema(max_length = 50)]
    version: String,
    /// Kinds of runtime configs that it runs.
    #[schema(max_items = 20, value_type = Vec<Text<1, 40>>)]
    kinds: Vec<String>,
    /// Installed plugins of providers.
    #[schema(max_items = 200)]
    plugins: Vec<Plugin>,
    /// Maximum number of concurrent jobs.
    #[schema(minimum = 1)]
    capacity: i32,
    /// Number of jobs that it runs.
    #[schema(minimum = 0)]
    running: i32,
    /// Whether it takes no further jobs, because it is shutting down.
    draining: bool,
    /// Whether its last heartbeat is recent, and it has not ended.
    alive: bool,
    /// Seconds after which the next heartbeat is due.
    #[schema(minimum = 1)]
    heartbeat_seconds: u64,
    /// Time of the first registration under this id.
    registered_at: Timestamp,
    /// Time of the last heartbeat.
    seen_at: Timestamp,
}

impl Resource for Worker {}

impl Worker {
    fn new(service: &Service, row: Row) -> Result<Self> {
        let alive = row.is_alive(alive_after(service));
        let Row {
            id,
            row_id: _,
            worker_name,
            version,
            kinds,
            plugins,
            capacity,
            running,
            is_draining,
            registered_at,
            seen_at,
            ended_at: _,
        } = row;
        Ok(Self {
            id,
            worker_name,
            version,
            kinds,
            plugins: serde_json::from_value(plugins).map_err(Error::internal)?,
            capacity,
            running,
            draining: is_draining,
            alive,
            heartbeat_seconds: (service.settings.worker_timeout.as_secs() / HEARTBEATS).max(1),
            registered_at: registered_at.into(),
            seen_at: seen_at.into(),
        })
    }
}

/// What a worker says of itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "worker_name": "patchbay-agent", "version": "1.0.0", "kinds": ["echo", "pipeline"],
    "plugins": [{"name": "openai", "version": "1.8.9", "has_key": true}], "capacity": 50, "running": 3
}))]
pub struct PutWorker {
    /// LiveKit agent name under which it takes dispatches.
    worker_name: Name,
    /// Version of the worker.
    version: Text<1, 50>,
    /// Kinds of runtime configs that it runs.
    #[schema(max_items = 20)]
    kinds: Vec<Text<1, 40>>,
    /// Installed plugins of providers, with whether their keys are present, never the keys.
    #[serde(default)]
    #[schema(max_items = 200)]
    plugins: Vec<Plugin>,
    /// Maximum number of concurrent jobs.
    #[schema(minimum = 1, maximum = 10000)]
    capacity: u32,
    /// Number of jobs that it runs.
    #[schema(minimum = 0, maximum = 10000)]
    running: u32,
    /// Whether it takes no further jobs, because it is shutting down.
    #[serde(default)]
    draining: bool,
}

impl PutWorker {
    fn check(&self) -> Result<()> {
        for (pointer, count, range) in [
            ("/kinds", self.kinds.len(), 1..=20),
            ("/plugins", self.plugins.len(), 0..=200),
            (
                "/capacity",
                usize::try_from(self.capacity).unwrap_or(usize::MAX),
                1..=10_000,
            ),
            (
                "/running",
                usize::try_from(self.running).unwrap_or(usize::MAX),
                0..=10_000,
            ),
        ] {
            if !range.contains(&count) {
                let message = format!("{} to {} is allowed", range.start(), range.end());
                let invalid = Invalid::new("out_of_range", message);
                return Err(Error::invalid_at(pointer, invalid));
            }
        }
        Ok(())
    }
}

/// Filters for listing workers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerFilter {
    /// Only workers with this worker name.
    #[schema(max_length = 200)]
    worker_name: Option<String>,
    /// Only workers whose last heartbeat is recent, or only the others.
    #[serde(default, deserialize_with = "flag")]
    alive: Option<bool>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Workers);
    let one = "/api/workers/{worker_id}";
    api.add(
        one,
        put,
        Doc::put("putWorker", "Register a worker")
            .about(
                "Called by a worker with the installation's worker key, when it starts and then \
                 every `heartbeat_seconds`. It is gone once three heartbeats are missing. A worker \
                 that does not register gets jobs too, but nobody can see whether there is one.",
            )
            .errors(&[Code::ValidationFailed]),
    );
    api.add(
        one,
        delete,
        Doc::delete("deleteWorker", "End a worker's registration").about(
            "Called by a worker with the installation's worker key, when it ends. It counts as gone \
             at once and stays listed for a day. Sessions are not affected.",
        )
        .errors(&[Code::NotFound]),
    );
    api.add(
        "/api/workers",
        list,
        Doc::get("listWorkers", "List workers").about(
            "Operator only. Returns the registered workers, the last registered first. Those that \
             are gone stay listed for a day.",
        ),
    );
}

/// A worker serves all tenants, so no tenant's key may register one.
fn require_own_key(caller: &Caller<WorkerScope>) -> Result<()> {
    match caller.key_tenant {
        None => Ok(()),
        Some(_) => Err(Error::new(
            Code::MissingScope,
            "The installation's worker key is required.",
        )),
    }
}

/// Validates an id: it is not a name that another worker has to know, so few characters do.
fn check_id(id: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    if (1..=100).contains(&id.len()) && id.chars().all(is_allowed) {
        return Ok(());
    }
    let message = "1 to 100 of A-Z, a-z, 0-9, `.`, `_`, `:` and `-` are allowed";
    Err(Error::invalid_at("", Invalid::new("invalid_id", message)))
}

async fn put(
    caller: Caller<WorkerScope>,
    Path((WorkerId(id),)): Path<(WorkerId,)>,
    Json(body): Json<PutWorker>,
) -> Result<Entity<Worker>> {
    require_own_key(&caller)?;
    check_id(&id)?;
    body.check()?;
    let service = &caller.service;
    let now = service.clock.now();
    let row = Row {
        id,
        row_id: service.clock.new_uuid(),
        worker_name: body.worker_name.into_inner(),
        version: body.version.into_inner(),
        kinds: body.kinds.into_iter().map(Text::into_inner).collect(),
        plugins: serde_json::to_value(&body.plugins).map_err(Error::internal)?,
        capacity: i32::try_from(body.capacity).unwrap_or(i32::MAX),
        running: i32::try_from(body.running).unwrap_or(i32::MAX),
        is_draining: body.draining,
        registered_at: now,
        seen_at: now,
        ended_at: None,
    };
    let mut connection = service.db.connection().await?;
    let row = workers::put(&mut connection, &row).await?;
    Ok(Entity(Worker::new(service, row)?))
}

async fn delete(
    caller: Caller<WorkerScope>,
    Path((WorkerId(id),)): Path<(WorkerId,)>,
) -> Result<Deleted> {
    require_own_key(&caller)?;
    let mut connection = caller.service.db.connection().await?;
    match workers::end(&mut connection, &id, caller.service.clock.now()).await? {
        true => Ok(Deleted),
        false => Err(Error::not_found()),
    }
}

async fn list(caller: Caller<Operator>, list: List<WorkerFilter>) -> Result<Page<Worker>> {
    let service = &caller.service;
    let filter = workers::Filter {
        worker_name: list.filter.worker_name.clone(),
        is_alive: list.filter.alive,
        alive_after: alive_after(service),
    };
    let mut connection = service.db.connection().await?;
    let rows = workers::list(&mut connection, list.window, filter).await?;
    Page::try_new(rows, |row| row.row_id, |row| Worker::new(service, row))
}
