//! Calls out: created with their session, begun within the tenant's limits, dialled once.
//!
//! What is recorded before LiveKit is asked (`sent_at`) is what makes a dial happen at most once: a
//! call that was sent is never sent again, and what became of it is asked for in the room. While a
//! process waits for the answer it keeps `awaited_until` ahead of the clock; when that stops, the
//! session's job judges by what it sees.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    CallId, Dialled, Invalid, PhoneNumber, TrunkId,
    call::{AnswerDetection, CallEvent, CallState, Direction, reason, reason_of_status},
    limits::{Lines, TenantLimits},
    session::Step,
    sip::SipAddress,
};
use patchbay_livekit::{Answered, Dial, Error as LiveKitError};
use patchbay_persistence::{
    TenantTx, Window,
    calls::{self, Call},
    sessions::Session,
    sip_objects::SipObject,
    sip_trunks::{self, SipTrunk},
    tenants,
};
use tokio::time::timeout;

use super::{
    record::Record,
    sessions::{self as flow, CallTimes, NewSession},
    sync::{SyncError, change, crash_here, still_due},
};
use crate::{
    app::App,
    error::{ApiError, Code, Result},
    extract::Actor,
    panics::caught,
    stored,
};

/// A number to be dialled.
pub struct Line {
    /// Whom to call.
    pub to: Dialled,
    /// Where the body says so, as a JSON pointer.
    pub to_pointer: &'static str,
    /// What to show as the origin; the trunk's first number by default.
    pub from: Option<PhoneNumber>,
    /// The trunk; the one there is by default.
    pub trunk_id: Option<TrunkId>,
    /// How long it may ring, in seconds.
    pub ring: u32,
    /// How long it may last, in seconds from the answer on.
    pub longest: Option<u32>,
    /// What the worker does when a machine answers.
    pub detection: AnswerDetection,
}

/// What the tenant's telephone may do.
pub async fn limits(app: &App, tx: &mut TenantTx) -> Result<(TenantLimits, Lines)> {
    let tenant = tenants::find(tx, false).await?;
    let tenant = tenant.ok_or_else(ApiError::not_found)?;
    let limits = stored::limits(tenant.id, tenant.limits)?;
    let lines = limits.lines(app.settings.call_limits);
    Ok((limits, lines))
}

/// Longest time of a call under these limits, in seconds.
pub fn cap(lines: &Lines) -> u32 {
    match lines.seconds {
        0 => u32::MAX / 4,
        seconds => seconds,
    }
}

/// Refuses what the tenant's telephone may not do.
fn check(line: &Line, limits: &TenantLimits, lines: &Lines) -> Result<()> {
    if let Err(invalid) = limits.check_number(&line.to) {
        return Err(ApiError::invalid_at(line.to_pointer, invalid));
    }
    match line.longest {
        Some(longest) if longest > cap(lines) => {
            let message = format!("at most {} seconds are allowed", lines.seconds);
            let invalid = Invalid::new("too_long", message);
            Err(ApiError::invalid_at("/max_duration_seconds", invalid))
        }
        _ => Ok(()),
    }
}

/// The trunk that is named, or the only one that will do.
async fn choose_trunk(tx: &mut TenantTx, line: &Line) -> Result<SipTrunk> {
    if let Some(id) = line.trunk_id {
        let found = sip_trunks::find(tx, id, false).await?;
        return Ok(found.ok_or_else(ApiError::not_found)?.0);
    }
    let one = Window {
        limit: 1,
        before: None,
    };
    let from = line.from.as_ref().map(ToString::to_string);
    let mut found = sip_trunks::list(tx, one, from).await?;
    match (found.rows.pop(), found.more) {
        (Some((trunk, _)), false) => Ok(trunk),
        (None, _) if line.from.is_some() => Err(foreign_number()),
        (None, _) => {
            let detail = "Create a SIP trunk first.";
            Err(ApiError::new(Code::TelephonyNotConfigured, detail))
        }
        _ => {
            let message = "there are several trunks: name one, or a number that only one has";
            let invalid = Invalid::new("missing_field", message);
            Err(ApiError::invalid_at("/trunk_id", invalid))
        }
    }
}

fn foreign_number() -> ApiError {
    let message = "no trunk of yours has this number";
    ApiError::invalid_at("/from", Invalid::new("number_not_on_trunk", message))
}

/// Stores a session and the call it is made for.
pub async fn create(
    app: &App,
    tx: &mut TenantTx,
    new: NewSession,
    line: Line,
) -> Result<(Session, Call)> {
    let (limits, lines) = limits(app, tx).await?;
    check(&line, &limits, &lines)?;
    let trunk = choose_trunk(tx, &line).await?;
    let times = CallTimes {
        ring: line.ring,
        longest: line.longest,
        cap: cap(&lines),
    };
    let new = NewSession {
        call: Some(times),
        ..new
    };
    let session = flow::create(app, tx, new).await?;
    let longest = session.max_duration_seconds - i32::try_from(line.ring).unwrap_or_default();
    let call = outbound(app, &session, (trunk, line), longest, true)?;
    calls::insert(tx, &call).await?;
    Ok((session, call))
}

/// A call of a live session to somebody further, begun at once.
pub async fn attach(app: &App, tx: &mut TenantTx, record: &mut Record, line: Line) -> Result<Call> {
    let (limits, lines) = limits(app, tx).await?;
    check(&line, &limits, &lines)?;
    let trunk = choose_trunk(tx, &line).await?;
    let longest = line.longest.unwrap_or(u32::MAX).min(cap(&lines));
    let longest = i32::try_from(longest).unwrap_or(i32::MAX);
    let longest = longest.min(record.session.max_duration_seconds);
    let call = outbound(app, &record.session, (trunk, line), longest, false)?;
    let id = call.id;
    record.add_call(call);
    begin(app, tx, record, id).await?;
    flow::enqueue(app, tx, record.session.id).await?;
    let call = record.call(id).cloned();
    call.ok_or_else(|| ApiError::internal("a call that was just added"))
}

fn outbound(
    app: &App,
    session: &Session,
    (trunk, line): (SipTrunk, Line),
    longest: i32,
    is_primary: bool,
) -> Result<Call> {
    let id: CallId = app.clock.new_id();
    let from = match line.from {
        Some(from) if !trunk.numbers.iter().any(|known| **known == *from) => {
            return Err(foreign_number());
        }
        Some(from) => Some(from.to_string()),
        None => trunk.numbers.first().cloned(),
    };
    Ok(Call {
        tenant_id: session.tenant_id,
        id,
        session_id: session.id,
        agent_id: session.agent_id,
        direction: Direction::Outbound,
        is_primary,
        state: CallState::Created,
        reason: None,
        hangup_by: None,
        sip_status: None,
        detail: None,
        from_number: from,
        to_number: Some(line.to.to_string()),
        trunk_id: Some(trunk.id),
        mapping_id: None,
        identity: format!("sip_{id}"),
        sip_call_id: None,
        ring_timeout_seconds: i32::try_from(line.ring).unwrap_or(i32::MAX),
        max_duration_seconds: longest,
        answer_detection: line.detection,
        revision: 1,
        created_at: app.clock.now(),
        dialing_at: None,
        sent_at: None,
        awaited_until: None,
        ringing_at: None,
        answered_at: None,
        ended_at: None,
        left_reason: None,
        missing_since: None,
    })
}

/// Begins the call that a session was made for, if there is one.
pub async fn begin_primary(app: &App, tx: &mut TenantTx, record: &mut Record) -> Result<()> {
    let waiting = |call: &&Call| call.is_primary && call.state == CallState::Created;
    match record.calls.iter().find(waiting).map(|call| call.id) {
        Some(id) => begin(app, tx, record, id).await,
        None => Ok(()),
    }
}

/// What was allowed when the call was created may not be any more.
async fn begin(app: &App, tx: &mut TenantTx, record: &mut Record, id: CallId) -> Result<()> {
    let (limits, lines) = require_line(app, tx).await?;
    let to = record.call(id).and_then(|call| call.to_number.clone());
    if let Some(number) = to {
        let checked = number
            .parse()
            .and_then(|to: Dialled| limits.check_number(&to));
        checked.map_err(|invalid| ApiError::invalid_at("/to", invalid))?;
    }
    let most = i32::try_from(cap(&lines)).unwrap_or(i32::MAX);
    record.note_call(id, |call| {
        call.max_duration_seconds = call.max_duration_seconds.min(most);
    });
    record.tell_call(id, &CallEvent::Started, app.clock.now());
    Ok(())
}

/// Whether the tenant may have one more call now. Whoever asks holds the answer until its
/// transaction ends.
pub async fn require_line(app: &App, tx: &mut TenantTx) -> Result<(TenantLimits, Lines)> {
    let (limits, lines) = limits(app, tx).await?;
    let now = app.clock.now();
    let (live, begun) = calls::occupancy(tx, now, now - TimeDelta::minutes(1)).await?;
    let reached = |limit: u32, count: i64| limit != 0 && count >= i64::from(limit);
    if reached(lines.concurrent, live) {
        let detail = format!(
            "`concurrent_calls`: {} at a time are allowed.",
            lines.concurrent
        );
        return Err(ApiError::too_many(Code::CallLimitReached, detail, 10));
    }
    if reached(lines.per_minute, begun) {
        let detail = format!("`calls_per_minute`: {} are allowed.", lines.per_minute);
        return Err(ApiError::too_many(Code::CallLimitReached, detail, 60));
    }
    Ok((limits, lines))
}

/// Dials, if nobody has yet, and leaves a task to wait for the answer.
pub async fn dial(
    app: &Arc<App>,
    session: &Session,
    id: CallId,
) -> std::result::Result<(), SyncError> {
    let mut tx = app.db.begin(session.tenant_id).await?;
    let call = calls::find(&mut tx, id).await?;
    let trunk = match call.as_ref().and_then(|call| call.trunk_id) {
        Some(trunk) => sip_trunks::find(&mut tx, trunk, false).await?,
        None => None,
    };
    tx.finish();
    let Some(call) = call else { return Ok(()) };
    if trunk
        .as_ref()
        .is_some_and(|(_, object)| object.is_pending())
    {
        // What LiveKit has of it may be about something else; the job comes back in a moment.
        let detail = "LiveKit is being told of the trunk.";
        return Err(ApiError::new(Code::Unavailable, detail).into());
    }
    let trunk_sid = match usable(app, trunk).await {
        Ok(sid) => sid,
        Err(why) => {
            let event = CallEvent::Refused(reason::TRUNK_FAILURE);
            return conclude(app, session, id, Conclusion::of(event, why)).await;
        }
    };
    let lease = app.clock.now() + Duration::from(app.settings.job_lease);
    let mut sent = false;
    change(app, session, |record| {
        sent = still_due(app, record, &Step::Dial(id));
        record.note_call(id, |call| {
            if sent {
                call.sent_at = Some(app.clock.now());
                call.awaited_until = Some(lease);
            }
        });
    })
    .await?;
    crash_here(app, "after_dial_recorded");
    if sent {
        let seconds =
            |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let ring = seconds(call.ring_timeout_seconds);
        let dial = Dial {
            trunk_sid,
            to: call.to_number.clone().unwrap_or_default(),
            from: call.from_number.clone(),
            room: session.room_name.clone(),
            identity: call.identity.clone(),
            ring,
            // A net under our own clock, should nobody of us be there to hang up.
            longest: ring + seconds(call.max_duration_seconds) + Duration::from_secs(30),
        };
        tokio::spawn(see_dial_through(Arc::clone(app), session.clone(), id, dial));
    }
    Ok(())
}

/// LiveKit's id of the trunk, if calls may go through it now.
async fn usable(
    app: &App,
    trunk: Option<(SipTrunk, SipObject)>,
) -> std::result::Result<String, String> {
    let (trunk, object) = trunk.ok_or("the trunk was deleted")?;
    let address: SipAddress = trunk.address.parse().map_err(|e: Invalid| e.message)?;
    let checked = app.outbound.check_host(&address.host).await;
    checked.map_err(|error| format!("the trunk's address: {error}"))?;
    match (&*object.sync_state, object.trunk_sid) {
        ("synced", Some(sid)) => Ok(sid),
        _ => {
            let why = object.error.as_deref().unwrap_or("not yet");
            Err(format!("LiveKit has not got the trunk as it is: {why}"))
        }
    }
}

/// Waits for the answer to a dial. Should that panic, the room will show what became of the call.
async fn see_dial_through(app: Arc<App>, session: Session, id: CallId, dial: Dial) {
    if let Err(panicked) = caught(await_dial(&app, &session, id, dial)).await {
        let given_up = Conclusion::of(CallEvent::Abandoned, panicked.to_string());
        if let Err(error) = conclude(&app, &session, id, given_up).await {
            tracing::warn!(%error, call = %id, "a dial that panicked was not recorded as given up");
        }
    }
}

/// Waits for as long as it rings.
async fn await_dial(app: &App, session: &Session, id: CallId, dial: Dial) {
    let lease = Duration::from(app.settings.job_lease);
    let work = app.livekit.dial(&dial);
    let mut work = std::pin::pin!(work);
    let outcome = loop {
        match timeout(lease / 3, &mut work).await {
            Ok(outcome) => break outcome,
            Err(_) => go_on_waiting(app, session, id, app.clock.now() + lease).await,
        }
    };
    crash_here(app, "after_dial_answered");
    let conclusion = Conclusion::from(outcome);
    if let Err(error) = conclude(app, session, id, conclusion).await {
        // The lease ends, and the session's job finds out by itself.
        tracing::warn!(%error, call = %id, "the answer to a dial was not recorded");
    }
}

async fn go_on_waiting(app: &App, session: &Session, id: CallId, until: DateTime<Utc>) {
    let extended = async {
        let mut tx = app.db.begin(session.tenant_id).await?;
        calls::await_until(&mut tx, id, until).await?;
        tx.commit().await
    };
    if let Err(error) = extended.await {
        tracing::warn!(%error, call = %id, "the wait for a dial was not extended");
    }
}

/// How a dial ended.
struct Conclusion {
    event: CallEvent,
    sip_call_id: Option<String>,
    sip_status: Option<u16>,
    detail: Option<String>,
}

impl Conclusion {
    fn of(event: CallEvent, detail: String) -> Self {
        Self {
            event,
            sip_call_id: None,
            sip_status: None,
            detail: Some(detail),
        }
    }
}

impl From<std::result::Result<Answered, LiveKitError>> for Conclusion {
    fn from(outcome: std::result::Result<Answered, LiveKitError>) -> Self {
        let error = match outcome {
            Ok(answered) => {
                return Self {
                    event: CallEvent::Answered,
                    sip_call_id: Some(answered.sip_call_id),
                    sip_status: None,
                    detail: None,
                };
            }
            Err(error) => error,
        };
        match error {
            LiveKitError::Refused { sip: Some(sip), .. } => Self {
                sip_status: Some(sip.code),
                ..Self::of(CallEvent::Refused(reason_of_status(sip.code)), sip.words)
            },
            LiveKitError::Refused {
                status, message, ..
            } => {
                let reason = match status {
                    408 => reason::NO_ANSWER,
                    500.. => reason::LIVEKIT_UNAVAILABLE,
                    _ => reason::TRUNK_FAILURE,
                };
                Self::of(CallEvent::Refused(reason), message)
            }
            LiveKitError::Token(_) => {
                let event = CallEvent::Refused(reason::LIVEKIT_UNAVAILABLE);
                Self::of(event, error.summary())
            }
            // It may ring, or not: the room will show.
            LiveKitError::Unreachable(_) | LiveKitError::Garbled(_) => {
                Self::of(CallEvent::Abandoned, error.summary())
            }
        }
    }
}

async fn conclude(
    app: &App,
    session: &Session,
    id: CallId,
    conclusion: Conclusion,
) -> std::result::Result<(), SyncError> {
    let now = app.clock.now();
    let mut tx = app.db.begin(session.tenant_id).await?;
    let Some(mut record) = Record::load(&mut tx, &app.clock, session.id).await? else {
        return Ok(());
    };
    let is_late = record.call(id).is_none_or(|call| call.state.is_terminal());
    if is_late && conclusion.event == CallEvent::Answered {
        // Somebody answered a call that was given up: the room is there once more, and must go.
        record.session.room_deleted_at = None;
    }
    record.note_call(id, |call| {
        if !is_late {
            call.sip_call_id = conclusion.sip_call_id.or(call.sip_call_id.take());
            call.sip_status = conclusion.sip_status.map(i32::from);
            call.detail = conclusion.detail;
        }
    });
    record.tell_call(id, &conclusion.event, now);
    record.save(&mut tx, &Actor::System, None).await?;
    flow::enqueue(app, &mut tx, session.id).await?;
    tx.commit().await?;
    app.job_due.notify_one();
    Ok(())
}
