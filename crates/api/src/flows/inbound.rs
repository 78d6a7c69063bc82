//! Calls in. LiveKit has made a room and sent an agent there before anybody asked us; what is called
//! a claim here makes the session of it, once, whether the worker or a webhook comes first.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use patchbay_domain::{
    AgentId, AgentRunId, CallId, MappingId, Metadata, PhoneNumber, SessionId, TenantId,
    call::{AnswerDetection, CallState, Direction},
    hours::OpeningHours,
    prompt::Variables,
    session::{RunState, SessionState},
    text::is_unprintable,
};
use patchbay_livekit::{Event, ParticipantKind};
use patchbay_persistence::{
    TenantTx, agents,
    calls::Call,
    idempotency,
    inbound_mappings::{self, Mapping},
    secrets, sip_objects, tenants,
    webhook_events::{self, Room},
};

use super::{
    calls::{self, cap},
    record::Record,
    sessions::{self as flow, CallTimes, NewSession},
    sip_sync::{self, room_prefix},
};
use crate::{
    app::App,
    compute::Turn,
    error::{ApiError, Code, Result},
    extract::Actor,
    stored,
};

/// How long a caller may hear it ring, in seconds.
pub(super) const RING: u32 = 60;
/// How long a claim waits for the caller to be in the room.
const PATIENCE: Duration = Duration::from_secs(3);

/// A caller in a room, as LiveKit shows it.
struct Caller {
    room: flow::Room,
    identity: String,
    attributes: HashMap<String, String>,
}

/// What a call in has become.
pub struct Claimed {
    /// The session.
    pub session_id: SessionId,
    /// The run of the agent that LiveKit has sent.
    pub agent_run_id: AgentRunId,
    /// The call.
    pub call_id: CallId,
}

/// Who answers calls to a mapping.
pub struct Answering {
    /// The agent.
    pub agent_id: AgentId,
    /// Whether it is within the opening hours.
    pub is_open: bool,
}

/// Who answers calls to this mapping at this time.
pub fn answering(mapping: &Mapping, at: DateTime<Utc>) -> Result<Answering> {
    if !mapping.enabled {
        return Err(ApiError::new(Code::MappingDisabled, "Enable it first."));
    }
    let read = |hours| stored::json(mapping.tenant_id, "inbound_mappings.hours", hours);
    let hours: Option<OpeningHours> = mapping.hours.clone().map(read).transpose()?;
    let is_open = hours.is_none_or(|hours| hours.is_open(at));
    match (is_open, mapping.closed_agent_id) {
        (true, _) => Ok(Answering {
            agent_id: mapping.agent_id,
            is_open,
        }),
        (false, Some(agent_id)) => Ok(Answering { agent_id, is_open }),
        (false, None) => {
            let detail = "It is outside the opening hours, and no agent answers then.";
            Err(ApiError::new(Code::Closed, detail))
        }
    }
}

/// The worker's claim: the caller is looked for in the room, the rest is recorded once. A call that
/// is refused loses its room.
pub async fn claim(app: &App, tenant: TenantId, mapping: MappingId, room: &str) -> Result<Claimed> {
    let mut connection = app.db.connection().await?;
    let object = sip_objects::find(&mut connection, mapping.uuid()).await?;
    drop(connection);
    let object = object.filter(|object| object.tenant_id == tenant);
    let object = object.ok_or_else(ApiError::not_found)?;
    if !room.starts_with(&format!("{}_", room_prefix(app, mapping))) {
        return Err(ApiError::not_found());
    }
    let Some(rule) = object.rule_sid else {
        // The mapping was taken away just now: nobody will answer.
        app.livekit.delete_room(room).await?;
        return Err(ApiError::not_found());
    };
    let caller = find_caller(app, room, &rule).await?;
    let caller = caller.ok_or_else(ApiError::not_found)?;
    settle(app, tenant, mapping, caller).await
}

/// Waits for the caller of a room that a rule has made.
async fn find_caller(app: &App, room: &str, rule: &str) -> Result<Option<Caller>> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let rooms = app.livekit.list_rooms(vec![room.to_owned()]).await?;
        let present = app.livekit.list_participants(room).await?;
        let caller = present.into_iter().find(|participant| {
            participant.kind == ParticipantKind::Sip
                && participant
                    .attributes
                    .get("sip.ruleID")
                    .is_some_and(|id| id == rule)
        });
        if let (Some(found), Some(caller)) = (rooms.into_iter().next(), caller) {
            return Ok(Some(Caller {
                room: flow::Room {
                    name: found.name,
                    sid: found.sid,
                },
                identity: caller.identity,
                attributes: caller.attributes,
            }));
        }
        if tokio::time::Instant::now() > deadline {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The same when a webhook comes first: whose room it then is.
pub async fn claim_by_event(app: &App, event: &Event) -> Result<Option<Room>> {
    let (Some(room), Some(participant)) = (&event.room, &event.participant) else {
        return Ok(None);
    };
    let rule = participant.attributes.get("sip.ruleID");
    let Some(rule) = rule.filter(|_| &*event.event == "participant_joined") else {
        return Ok(None);
    };
    let mut connection = app.db.connection().await?;
    let object = sip_objects::of_rule(&mut connection, rule).await?;
    drop(connection);
    let Some(object) = object else {
        return Ok(None);
    };
    let caller = Caller {
        room: flow::Room {
            name: room.name.clone(),
            sid: room.sid.clone(),
        },
        identity: participant.identity.clone(),
        attributes: participant.attributes.clone(),
    };
    let mapping = MappingId::new(object.id);
    match settle(app, object.tenant_id, mapping, caller).await {
        Ok(claimed) => Ok(Some(Room {
            name: room.name.clone(),
            tenant_id: object.tenant_id,
            session_id: claimed.session_id,
        })),
        // It was refused, and its room is gone.
        Err(error) if refuses(&error) => {
            let room = patchbay_livekit::room_without_caller(&room.name);
            let code = error.code().name();
            tracing::info!(code, mapping_id = %mapping, %room, "a call in was refused");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn settle(
    app: &App,
    tenant: TenantId,
    mapping: MappingId,
    caller: Caller,
) -> Result<Claimed> {
    let room = caller.room.name.clone();
    let turn = app.compute.turn(Some(tenant)).await?;
    let mut tx = app.db.begin(tenant).await?;
    match record(app, (&mut tx, turn), mapping, caller).await {
        Ok(claimed) => {
            tx.commit().await?;
            app.job_due.notify_one();
            Ok(claimed)
        }
        Err(error) => {
            // Nothing of it is kept.
            tx.roll_back().await;
            if refuses(&error) {
                app.livekit.delete_room(&room).await?;
            }
            Err(error)
        }
    }
}

/// Whether the call is refused by this, rather than to be tried again. What cannot be read stays so.
fn refuses(error: &ApiError) -> bool {
    !error.is_ours() || error.is(Code::StoredDataUnreadable)
}

/// Records the call with its session, unless that has been done.
async fn record(
    app: &App,
    (tx, turn): (&mut TenantTx, Turn),
    mapping: MappingId,
    caller: Caller,
) -> Result<Claimed> {
    // Whoever claims the same room waits here.
    let found = inbound_mappings::find(tx, mapping, true).await?;
    let (mapping, _) = found.ok_or_else(ApiError::not_found)?;
    let known = webhook_events::find_rooms(tx, std::slice::from_ref(&caller.room.name)).await?;
    if let Some(room) = known.into_iter().next() {
        let record = Record::load(tx, &app.clock, room.session_id).await?;
        return claimed(&record.ok_or_else(ApiError::not_found)?);
    }
    let tenant = tenants::find(tx, false).await?;
    if tenant.is_none_or(|tenant| tenant.status != "active") {
        let detail = "The operator has suspended this tenant.";
        return Err(ApiError::new(Code::TenantSuspended, detail));
    }
    let now = app.clock.now();
    let answering = answering(&mapping, now)?;
    calls::require_line(app, tx).await?;
    flow::require_place(app, tx).await?;
    let mut record = begin(app, (tx, turn), &mapping, &answering, &caller).await?;
    let ring = i32::try_from(RING).unwrap_or(i32::MAX);
    let longest = record.session.max_duration_seconds - ring;
    record.add_call(inbound_call(app, &record, &mapping, caller, longest));
    let claimed = claimed(&record)?;
    let session = record.session.id;
    record.save(tx, &Actor::System, None).await?;
    flow::enqueue(app, tx, session).await?;
    Ok(claimed)
}

/// The session, in which LiveKit has everything already.
async fn begin(
    app: &App,
    (tx, turn): (&mut TenantTx, Turn),
    mapping: &Mapping,
    answering: &Answering,
    caller: &Caller,
) -> Result<Record> {
    let (_, lines) = calls::limits(app, tx).await?;
    let variables: Variables = stored::raw(
        mapping.tenant_id,
        "inbound_mappings.variables",
        &mapping.variables,
    )?;
    let new = NewSession {
        agent_id: answering.agent_id,
        binding_id: None,
        variables,
        metadata: Metadata::default(),
        call: Some(CallTimes {
            ring: RING,
            longest: None,
            cap: cap(&lines),
        }),
        room: Some(flow::Room {
            name: caller.room.name.clone(),
            sid: caller.room.sid.clone(),
        }),
        turn,
    };
    let session = flow::create(app, tx, new).await?;
    let record = Record::load(tx, &app.clock, session.id).await?;
    let mut record = record.ok_or_else(|| ApiError::internal("a session that was just made"))?;
    record.session.room_sid = session.room_sid;
    record.enter(SessionState::Starting, None);
    let now = app.clock.now();
    record.session.dispatched_at = Some(now);
    let run = flow::add_run(app, tx, &mut record, (1, None)).await?;
    if let Some(run) = record.run(run.id) {
        run.state = RunState::Dispatched;
        run.dispatched_at = Some(now);
    }
    Ok(record)
}

fn inbound_call(
    app: &App,
    record: &Record,
    mapping: &Mapping,
    caller: Caller,
    longest: i32,
) -> Call {
    let now = app.clock.now();
    let told = |name: &str| {
        caller
            .attributes
            .get(name)
            .filter(|v| !v.is_empty())
            .cloned()
    };
    Call {
        tenant_id: record.session.tenant_id,
        id: app.clock.new_id(),
        session_id: record.session.id,
        agent_id: record.session.agent_id,
        direction: Direction::Inbound,
        is_primary: true,
        state: CallState::Ringing,
        reason: None,
        hangup_by: None,
        sip_status: None,
        detail: None,
        from_number: told("sip.phoneNumber").and_then(|from| shown(&from, &mapping.number)),
        to_number: Some(mapping.number.clone()),
        trunk_id: None,
        mapping_id: Some(mapping.id),
        sip_call_id: told("sip.callID"),
        identity: caller.identity,
        ring_timeout_seconds: i32::try_from(RING).unwrap_or(i32::MAX),
        max_duration_seconds: longest,
        answer_detection: AnswerDetection::Off,
        revision: 1,
        created_at: now,
        dialing_at: Some(now),
        sent_at: None,
        awaited_until: None,
        ringing_at: Some(now),
        answered_at: None,
        ended_at: None,
        left_reason: None,
        missing_since: None,
    }
}

/// Who calls: in E.164 where it is a number, and else as the carrier tells it; nobody who hides.
fn shown(told: &str, called: &str) -> Option<String> {
    const HIDDEN: [&str; 4] = ["anonymous", "restricted", "unavailable", "unknown"];
    let called: PhoneNumber = called.parse().ok()?;
    if let Some(number) = PhoneNumber::of_caller(told, &called) {
        return Some(number.to_string());
    }
    let hides = HIDDEN.contains(&&*told.to_ascii_lowercase());
    let printable = told.chars().filter(|c| !is_unprintable(*c));
    (!hides).then(|| printable.take(64).collect())
}

/// The ids of what a call in has become.
fn claimed(record: &Record) -> Result<Claimed> {
    let incomplete = || ApiError::internal("a call in without its run");
    let call = record.calls.iter().find(|call| call.is_primary);
    let run = record.runs.iter().find(|run| run.is_primary);
    Ok(Claimed {
        session_id: record.session.id,
        agent_run_id: run.ok_or_else(incomplete)?.id,
        call_id: call.ok_or_else(incomplete)?.id,
    })
}

/// Deletes a mapping, and has LiveKit forget it.
pub async fn forget(app: &App, tx: &mut TenantTx, id: MappingId) -> Result<()> {
    secrets::delete_owned(tx, id.uuid()).await?;
    inbound_mappings::delete(tx, id).await?;
    let path = format!("/api/tenants/{}/inbound-mappings/{id}", tx.tenant());
    idempotency::clear_own_data(tx, &path, "variables").await?;
    sip_sync::ask(app, tx, id.uuid(), sip_objects::MAPPING).await?;
    Ok(())
}

/// The worker name that both agents of a mapping are dispatched to.
pub async fn shared_worker(
    tx: &mut TenantTx,
    agent: AgentId,
    closed: Option<AgentId>,
) -> Result<String> {
    let main = agents::hold(tx, agent).await?;
    let main = main.ok_or_else(ApiError::not_found)?.worker_name;
    if let Some(closed) = closed {
        let other = agents::hold(tx, closed).await?;
        let other = other.ok_or_else(ApiError::not_found)?.worker_name;
        if other != main {
            let message = format!("its worker name must be `{main}`, as the agent's is");
            let invalid = patchbay_domain::Invalid::new("other_worker_name", message);
            return Err(ApiError::invalid_at("/closed_agent_id", invalid));
        }
    }
    Ok(main)
}
