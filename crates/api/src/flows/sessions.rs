//! What a request can want of a session: create, start, stop. Each only records; the session's
//! job does the rest.

use std::time::Duration;

use chrono::TimeDelta;
use patchbay_domain::{
    AgentId, BindingId, Metadata, RawJson, SessionId, TenantId,
    configuration::{Configuration, SCHEMA},
    prompt::{Rendered, Variables},
    session::{RunState, SessionState, Timings, reason},
    template::Budget,
    tool::ToolSpec,
};
use patchbay_persistence::{
    TenantTx, agents, bindings, jobs,
    runs::{self, AgentRun},
    sessions::{self, Session, StoredConfiguration},
    tenants,
    webhook_events::{self, Room as RoomOwner},
};

use super::{calls, record::Record};
use crate::{
    app::App,
    compute::Turn,
    error::{ApiError, Code, Result},
    stored,
    timeline::{Facts, Timeline},
};

/// A session to be created.
pub struct NewSession {
    /// Whose definition runs.
    pub agent_id: AgentId,
    /// A binding of the agent; the active one by default.
    pub binding_id: Option<BindingId>,
    /// Values of the prompt's variables.
    pub variables: Variables,
    /// The caller's own data.
    pub metadata: Metadata,
    /// How long the call may last that it is made for, if it is.
    pub call: Option<CallTimes>,
    /// The room, where a call in has made it already.
    pub room: Option<Room>,
    /// The turn in which its configuration is worked out.
    pub turn: Turn,
}

/// A room that LiveKit has made.
pub struct Room {
    /// Its name.
    pub name: String,
    /// LiveKit's id.
    pub sid: String,
}

/// The times of a call, in seconds.
#[derive(Clone, Copy)]
pub struct CallTimes {
    /// How long it may ring.
    pub ring: u32,
    /// How long it may last once it is answered; as the runtime config says by default.
    pub longest: Option<u32>,
    /// How long it may last in any case.
    pub cap: u32,
}

impl CallTimes {
    /// How long the session may last whose runtime config allows this long.
    fn of_session(self, runtime: u32) -> u32 {
        self.longest
            .unwrap_or(runtime)
            .min(self.cap)
            .saturating_add(self.ring)
    }
}

/// What a run is to run: a binding resolved, its prompt rendered, its configuration stored.
pub struct Pinned {
    /// The agent, its row held.
    pub agent: agents::Agent,
    /// The binding.
    pub binding_id: BindingId,
    /// Digest of the configuration.
    pub digest: String,
    /// Seconds after which it is over.
    pub max_duration_seconds: u32,
    /// The prompt with the variables filled in.
    pub rendered: Rendered,
}

/// Resolves a binding of an agent, the active one by default, and stores its configuration.
pub async fn pin(
    app: &App,
    tx: &mut TenantTx,
    turn: &Turn,
    (agent_id, binding_id): (AgentId, Option<BindingId>),
    variables: &Variables,
) -> Result<Pinned> {
    // It is not deleted under the new run; runs of one agent need not wait for each other.
    let agent = agents::hold(tx, agent_id).await?;
    let agent = agent.ok_or_else(ApiError::not_found)?;
    let binding_id = binding_id.or(agent.active_binding_id).ok_or_else(|| {
        let detail = "Activate a binding of the agent, or name one.";
        ApiError::new(Code::NoActiveBinding, detail)
    })?;
    let resolved = resolve(tx, turn, (&agent, binding_id), variables).await?;
    let stored = StoredConfiguration {
        tenant_id: tx.tenant(),
        digest: resolved.digest.clone(),
        document: resolved.document,
        created_at: app.clock.now(),
    };
    sessions::store_configuration(tx, &stored).await?;
    Ok(Pinned {
        agent,
        binding_id,
        digest: resolved.digest,
        max_duration_seconds: resolved.max_duration_seconds,
        rendered: resolved.rendered,
    })
}

/// Stores a session that runs what its agent's binding pins.
pub async fn create(app: &App, tx: &mut TenantTx, new: NewSession) -> Result<Session> {
    let pinned = pin(
        app,
        tx,
        &new.turn,
        (new.agent_id, new.binding_id),
        &new.variables,
    )
    .await?;
    // Others may compute while this is stored.
    drop(new.turn);
    let longest = pinned.max_duration_seconds;
    let longest = new.call.map_or(longest, |times| times.of_session(longest));
    let now = app.clock.now();
    let id: SessionId = app.clock.new_id();
    let (room_name, room_sid) = match new.room {
        Some(room) => (room.name, Some(room.sid)),
        None => (format!("{}-s-{id}", app.settings.env), None),
    };
    let session = Session {
        tenant_id: tx.tenant(),
        id,
        agent_id: pinned.agent.id,
        binding_id: pinned.binding_id,
        configuration_digest: pinned.digest,
        worker_name: pinned.agent.worker_name,
        state: SessionState::Created,
        end_reason: None,
        error_detail: None,
        last_error: None,
        room_name,
        room_sid,
        variables: RawJson::of(&new.variables).map_err(ApiError::internal)?,
        metadata: new.metadata,
        rendered_prompt: pinned.rendered.prompt,
        rendered_greeting: pinned.rendered.greeting,
        max_duration_seconds: i32::try_from(longest).unwrap_or(i32::MAX),
        revision: 1,
        created_at: now,
        starting_at: None,
        dispatched_at: None,
        running_at: None,
        stopping_at: None,
        ended_at: None,
        room_missing_since: None,
        room_deleted_at: None,
    };
    sessions::insert(tx, &session).await?;
    let room = RoomOwner {
        name: session.room_name.clone(),
        tenant_id: tx.tenant(),
        session_id: id,
    };
    webhook_events::insert_room(tx, &room).await?;
    let mut timeline = Timeline::of(id);
    timeline.add(now, "session.created", Facts::default());
    timeline.write(tx, &app.clock).await?;
    Ok(session)
}

/// A configuration, sealed, and its prompt rendered.
struct Resolved {
    document: RawJson,
    digest: String,
    max_duration_seconds: u32,
    rendered: Rendered,
}

async fn resolve(
    tx: &mut TenantTx,
    turn: &Turn,
    (agent, binding_id): (&agents::Agent, BindingId),
    variables: &Variables,
) -> Result<Resolved> {
    let binding = bindings::find(tx, agent.id, binding_id).await?;
    let binding = binding.ok_or_else(ApiError::not_found)?;
    let specs = bindings::specs(tx, &binding).await?;
    let specs = specs.ok_or_else(|| ApiError::internal("a binding without its versions"))?;
    let (worker_name, variables) = (agent.worker_name.clone(), variables.clone());
    let work = move |deadline| {
        let configuration = configuration(worker_name, specs, binding.knowledge)?;
        let rendered = configuration
            .prompt
            .render(&variables, Budget::until(Some(deadline)));
        let rendered = rendered.map_err(|found| ApiError::invalid_within("/variables", found))?;
        let (document, digest) = configuration.seal()?;
        Ok(Resolved {
            document,
            digest,
            max_duration_seconds: configuration.runtime.limits.max_duration_seconds,
            rendered,
        })
    };
    turn.run(work).await?
}

fn configuration(
    worker_name: String,
    specs: bindings::Specs,
    knowledge: Option<serde_json::Value>,
) -> Result<Configuration> {
    let read = || -> serde_json::Result<_> {
        let (prompt, runtime) = (specs.prompt.read()?, specs.runtime.read()?);
        let tools = specs.tools.iter().map(RawJson::read);
        let mut tools: Vec<ToolSpec> = tools.collect::<serde_json::Result<_>>()?;
        tools.sort_by(|a, b| a.function_name.cmp(&b.function_name));
        let knowledge = knowledge.map(serde_json::from_value).transpose()?;
        Ok((prompt, runtime, tools, knowledge))
    };
    let (prompt, runtime, tools, knowledge) = read().map_err(ApiError::internal)?;
    Ok(Configuration {
        schema: SCHEMA,
        worker_name,
        prompt,
        runtime,
        tools,
        knowledge,
    })
}

/// A configuration that was stored, read away from the threads that serve requests.
pub async fn read_configuration(turn: &Turn, document: RawJson) -> Result<Configuration> {
    let read = move |_| document.read().map_err(ApiError::internal);
    turn.run(read).await?
}

/// Whether the tenant may have one more live session now. Whoever asks holds the answer until its
/// transaction ends.
pub async fn require_place(app: &App, tx: &mut TenantTx) -> Result<()> {
    let tenant = tenants::find(tx, false).await?;
    let tenant = tenant.ok_or_else(ApiError::not_found)?;
    let most = stored::limits(tenant.id, tenant.limits)?.sessions(app.settings.session_limit);
    if most == 0 {
        return Ok(());
    }
    let Timings {
        start_deadline,
        join_deadline,
        ..
    } = app.timings;
    let late = app.clock.now() - start_deadline - join_deadline * 2 - TimeDelta::minutes(2);
    if sessions::count_live(tx, late).await? >= i64::from(most) {
        let detail = format!("`concurrent_sessions`: {most} at a time are allowed.");
        return Err(ApiError::too_many(Code::SessionLimitReached, detail, 10));
    }
    Ok(())
}

/// Asks for the start: `created → starting`, the first run, the call it was made for, and the job. A second start finds it
/// done.
pub async fn start(app: &App, tx: &mut TenantTx, record: &mut Record) -> Result<()> {
    match record.session.state {
        SessionState::Created => {}
        SessionState::Starting | SessionState::Running => return Ok(()),
        _ => return Err(ApiError::new(Code::SessionOver, "A session starts once.")),
    }
    require_place(app, tx).await?;
    calls::begin_primary(app, tx, record).await?;
    record.enter(SessionState::Starting, None);
    add_run(app, tx, record, (1, None)).await?;
    enqueue(app, tx, record.session.id).await
}

/// Records one more dispatch to be made: of the session's own agent, or of a further one.
pub async fn add_run(
    app: &App,
    tx: &mut TenantTx,
    record: &mut Record,
    (attempt, further): (i32, Option<Pinned>),
) -> Result<AgentRun> {
    let session = &record.session;
    let mut run = AgentRun {
        tenant_id: tx.tenant(),
        id: app.clock.new_id(),
        session_id: session.id,
        configuration_digest: session.configuration_digest.clone(),
        is_primary: further.is_none(),
        attempt,
        state: RunState::Pending,
        dispatch_id: None,
        participant_sid: None,
        participant_identity: None,
        created_at: app.clock.now(),
        dispatched_at: None,
        joined_at: None,
        left_at: None,
        missing_since: None,
        agent_id: Some(session.agent_id),
        worker_name: None,
        rendered_prompt: None,
        rendered_greeting: None,
    };
    if let Some(pinned) = further {
        run.agent_id = Some(pinned.agent.id);
        run.configuration_digest = pinned.digest;
        run.worker_name = Some(pinned.agent.worker_name);
        run.rendered_prompt = Some(pinned.rendered.prompt);
        run.rendered_greeting = pinned.rendered.greeting;
    }
    runs::insert(tx, &run).await?;
    record.runs.push(run.clone());
    Ok(run)
}

/// The session, if somebody may join it now.
pub fn require_joinable(session: &Session) -> Result<()> {
    match session.state {
        SessionState::Starting | SessionState::Running => Ok(()),
        state => {
            let name = state.as_str();
            let detail = format!("It is `{name}`; `starting` or `running` is needed.");
            Err(ApiError::new(Code::SessionNotJoinable, detail))
        }
    }
}

/// Attaches a further agent: its run is recorded, and the session's job dispatches it.
pub async fn attach(
    app: &App,
    tx: &mut TenantTx,
    record: &mut Record,
    pinned: Pinned,
) -> Result<AgentRun> {
    let run = add_run(app, tx, record, (1, Some(pinned))).await?;
    enqueue(app, tx, record.session.id).await?;
    Ok(run)
}

/// How a stop was asked for.
pub struct StopRequest {
    /// Why; `stopped` by default.
    pub reason: Option<String>,
    /// The worker's own error: the session has failed.
    pub error: Option<String>,
}

/// Asks for the end. A second stop finds it done.
pub async fn stop(
    app: &App,
    tx: &mut TenantTx,
    record: &mut Record,
    request: StopRequest,
) -> Result<()> {
    match (record.session.state, request.error) {
        (SessionState::Stopping | SessionState::Ended | SessionState::Failed, _) => return Ok(()),
        (SessionState::Created, _) => {
            record.enter(SessionState::Ended, Some(reason::CANCELED));
            return Ok(());
        }
        (_, Some(error)) => {
            record.session.error_detail = Some(error);
            let why = request.reason.as_deref().unwrap_or(reason::AGENT_ERROR);
            record.enter(SessionState::Failed, Some(why));
        }
        (_, None) => {
            let why = request.reason.as_deref().unwrap_or(reason::STOPPED);
            record.enter(SessionState::Stopping, Some(why));
        }
    }
    enqueue(app, tx, record.session.id).await
}

/// Has the session's job look at it.
pub async fn enqueue(app: &App, tx: &mut TenantTx, id: SessionId) -> Result<()> {
    let tenant = tx.tenant();
    let now = app.clock.now();
    Ok(jobs::enqueue(tx, jobs::SESSION, id.uuid(), Some(tenant), now).await?)
}

/// Wakes the session's job and waits, up to the setting, until it has done what was asked for.
pub async fn settle(
    app: &App,
    tenant: TenantId,
    id: SessionId,
    done: impl Fn(&Session) -> bool,
) -> Result<(Session, bool)> {
    app.job_due.notify_one();
    let deadline = tokio::time::Instant::now() + app.settings.start_wait.into();
    let mut pause = Duration::from_millis(4);
    loop {
        let mut tx = app.db.begin(tenant).await?;
        let session = sessions::find(&mut tx, id, false).await?;
        tx.finish();
        let session = session.ok_or_else(ApiError::not_found)?;
        let is_done = done(&session);
        if is_done || tokio::time::Instant::now() + pause > deadline {
            return Ok((session, is_done));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}
