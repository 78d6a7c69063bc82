//! Phone calls.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Bool, Timestamptz},
};
use diesel_async::RunQueryDsl;
use patchbay_domain::{
    AgentId, CallId, MappingId, SessionId, TenantId, TrunkId,
    call::{AnswerDetection, CallState, Direction, HangupBy, KNOWN_REASONS},
    session::reason,
};

use crate::{
    Result, Rows, TenantTx, Window,
    page::ids_from,
    prepared::Prepare as _,
    schema::{agents, calls},
    tenants,
};

/// One call.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = calls)]
#[expect(missing_docs, reason = "columns")]
pub struct Call {
    pub tenant_id: TenantId,
    pub id: CallId,
    pub session_id: SessionId,
    pub agent_id: AgentId,
    pub direction: Direction,
    pub is_primary: bool,
    pub state: CallState,
    pub reason: Option<String>,
    pub hangup_by: Option<HangupBy>,
    pub sip_status: Option<i32>,
    pub detail: Option<String>,
    pub from_number: Option<String>,
    pub to_number: Option<String>,
    pub trunk_id: Option<TrunkId>,
    pub mapping_id: Option<MappingId>,
    pub identity: String,
    pub sip_call_id: Option<String>,
    pub ring_timeout_seconds: i32,
    pub max_duration_seconds: i32,
    pub answer_detection: AnswerDetection,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub dialing_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub awaited_until: Option<DateTime<Utc>>,
    pub ringing_at: Option<DateTime<Utc>>,
    pub answered_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub left_reason: Option<String>,
    pub missing_since: Option<DateTime<Utc>>,
}

/// Filter of calls.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct Filter {
    pub state: Vec<CallState>,
    pub direction: Option<Direction>,
    pub reason: Option<String>,
    pub agent_id: Option<AgentId>,
    pub session_id: Option<SessionId>,
    pub trunk_id: Option<TrunkId>,
    pub mapping_id: Option<MappingId>,
    pub number: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// Inserts a call.
pub async fn insert(tx: &mut TenantTx, call: &Call) -> Result<()> {
    diesel::insert_into(calls::table)
        .values((
            (
                calls::tenant_id.eq(tx.tenant()),
                calls::id.eq(call.id),
                calls::session_id.eq(call.session_id),
                calls::agent_id.eq(call.agent_id),
                calls::direction.eq(call.direction),
                calls::is_primary.eq(call.is_primary),
                calls::from_number.eq(&call.from_number),
                calls::to_number.eq(&call.to_number),
                calls::trunk_id.eq(call.trunk_id),
                calls::mapping_id.eq(call.mapping_id),
                calls::identity.eq(&call.identity),
                calls::ring_timeout_seconds.eq(call.ring_timeout_seconds),
                calls::answer_detection.eq(call.answer_detection),
                calls::created_at.eq(call.created_at),
            ),
            columns(call),
        ))
        .execute(tx)
        .await?;
    Ok(())
}

/// Stores the mutable columns of a call whose session is locked.
pub async fn update(tx: &mut TenantTx, call: &Call) -> Result<()> {
    diesel::update(calls::table.find((tx.tenant(), call.id)))
        .set(columns(call))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// The mutable columns.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = calls, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Columns<'a> {
    state: CallState,
    reason: Option<&'a str>,
    hangup_by: Option<HangupBy>,
    sip_status: Option<i32>,
    detail: Option<&'a str>,
    sip_call_id: Option<&'a str>,
    max_duration_seconds: i32,
    revision: i64,
    dialing_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    awaited_until: Option<DateTime<Utc>>,
    ringing_at: Option<DateTime<Utc>>,
    answered_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    left_reason: Option<&'a str>,
    missing_since: Option<DateTime<Utc>>,
}

fn columns(call: &Call) -> Columns<'_> {
    Columns {
        state: call.state,
        reason: call.reason.as_deref(),
        hangup_by: call.hangup_by,
        sip_status: call.sip_status,
        detail: call.detail.as_deref(),
        sip_call_id: call.sip_call_id.as_deref(),
        max_duration_seconds: call.max_duration_seconds,
        revision: call.revision,
        dialing_at: call.dialing_at,
        sent_at: call.sent_at,
        awaited_until: call.awaited_until,
        ringing_at: call.ringing_at,
        answered_at: call.answered_at,
        ended_at: call.ended_at,
        left_reason: call.left_reason.as_deref(),
        missing_since: call.missing_since,
    }
}

/// Finds a call.
pub async fn find(tx: &mut TenantTx, id: CallId) -> Result<Option<Call>> {
    Ok(calls::table
        .find((tx.tenant(), id))
        .select(Call::as_select())
        .first(tx)
        .await
        .optional()?)
}

/// The calls of a session, oldest first.
pub async fn of_session(tx: &mut TenantTx, session: SessionId) -> Result<Vec<Call>> {
    Ok(calls::table
        .filter(calls::tenant_id.eq(tx.tenant()))
        .filter(calls::session_id.eq(session))
        .order(calls::id)
        .select(Call::as_select())
        .load(tx)
        .await?)
}

/// A page of calls.
pub async fn list(tx: &mut TenantTx, window: Window, filter: Filter) -> Result<Rows<Call>> {
    let tenant = tx.tenant();
    let query = |window: Window| {
        let filter = filter.clone();
        let mut query = calls::table
            .filter(calls::tenant_id.eq(tenant))
            .filter(calls::id.lt(window.below_and_until(filter.to)))
            .order(calls::id.desc())
            .limit(window.fetch())
            .select(Call::as_select())
            .into_boxed();
        if !filter.state.is_empty() {
            query = query.filter(calls::state.eq_any(filter.state));
        }
        if let Some(direction) = filter.direction {
            query = query.filter(calls::direction.eq(direction));
        }
        if let Some(reason) = filter.reason {
            query = query.filter(calls::reason.eq(reason));
        }
        if let Some(agent) = filter.agent_id {
            query = query.filter(calls::agent_id.eq(agent));
        }
        if let Some(session) = filter.session_id {
            query = query.filter(calls::session_id.eq(session));
        }
        if let Some(trunk) = filter.trunk_id {
            query = query.filter(calls::trunk_id.eq(trunk));
        }
        if let Some(mapping) = filter.mapping_id {
            query = query.filter(calls::mapping_id.eq(mapping));
        }
        if let Some(number) = filter.number {
            let to = calls::to_number.eq(number.clone());
            query = query.filter(calls::from_number.eq(number).or(to));
        }
        if let Some(from) = filter.from {
            query = query
                .filter(calls::id.ge(ids_from(from)))
                .filter(calls::created_at.ge(from));
        }
        if let Some(to) = filter.to {
            query = query.filter(calls::created_at.lt(to));
        }
        query
    };
    let total = window.total(tx, query).await?;
    let rows = window.cut(query(window).load(tx).await?);
    Ok(rows.with_total(total))
}

/// How many concurrent calls a tenant has, and how many it has begun since `since`. The tenant's starts are
/// serialised from here on, so that two of them cannot take the last free place.
pub async fn occupancy(
    tx: &mut TenantTx,
    now: DateTime<Utc>,
    since: DateTime<Utc>,
) -> Result<(i64, i64)> {
    tenants::lock_counts(tx).await?;
    // A call past its maximum duration is not counted, so that a lost call blocks no place. The states stand in the text, so
    // that every plan may use the index of such calls.
    let longest = sql::<Bool>(
        "coalesce(answered_at, dialing_at) + make_interval(secs => max_duration_seconds + ring_timeout_seconds) > ",
    );
    let lines = calls::table
        .filter(calls::tenant_id.eq(tx.tenant()))
        .filter(sql::<Bool>("state IN ('dialing', 'ringing', 'answered')"))
        .filter(longest.bind::<Timestamptz, _>(now - TimeDelta::minutes(2)))
        .count()
        .prepared()
        .get_result(tx)
        .await?;
    let begun = calls::table
        .filter(calls::tenant_id.eq(tx.tenant()))
        .filter(calls::dialing_at.gt(since))
        .count()
        .get_result(tx)
        .await?;
    Ok((lines, begun))
}

/// Erases the numbers and free-text reasons from the calls of a session. LiveKit's display name of a caller is
/// the number, too.
pub async fn erase_people(tx: &mut TenantTx, session: SessionId) -> Result<()> {
    let tenant = tx.tenant();
    let of_session = || {
        calls::table
            .filter(calls::tenant_id.eq(tenant))
            .filter(calls::session_id.eq(session))
    };
    diesel::update(of_session())
        .set((
            calls::from_number.eq(None::<String>),
            calls::to_number.eq(None::<String>),
            calls::detail.eq(None::<String>),
            calls::sip_call_id.eq(None::<String>),
            calls::identity.eq(""),
        ))
        .prepared()
        .execute(tx)
        .await?;
    diesel::update(of_session().filter(calls::reason.ne_all(KNOWN_REASONS)))
        .set(calls::reason.eq(reason::STOPPED))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}

/// The calls that have not ended and use this trunk; 20 at most.
pub async fn live_through(tx: &mut TenantTx, trunk: TrunkId) -> Result<Vec<CallId>> {
    Ok(calls::table
        .filter(calls::tenant_id.eq(tx.tenant()))
        .filter(calls::trunk_id.eq(trunk))
        .filter(calls::ended_at.is_null())
        .limit(20)
        .select(calls::id)
        .load(tx)
        .await?)
}

/// A call that uses a trunk, with the name of its agent.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "columns")]
pub struct TrunkUse {
    pub call_id: CallId,
    pub session_id: SessionId,
    pub state: CallState,
    pub agent_id: AgentId,
    pub agent_name: Option<String>,
}

/// A page of the calls through a trunk that have not ended.
pub async fn trunk_uses(
    tx: &mut TenantTx,
    trunk: TrunkId,
    window: Window,
) -> Result<Rows<TrunkUse>> {
    let agent = agents::tenant_id
        .eq(calls::tenant_id)
        .and(agents::id.eq(calls::agent_id));
    let rows = calls::table
        .left_join(agents::table.on(agent))
        .filter(calls::tenant_id.eq(tx.tenant()))
        .filter(calls::trunk_id.eq(trunk))
        .filter(calls::ended_at.is_null())
        .filter(calls::id.lt(window.below()))
        .order(calls::id.desc())
        .limit(window.fetch())
        .select((
            calls::id,
            calls::session_id,
            calls::state,
            calls::agent_id,
            agents::name.nullable(),
        ))
        .load(tx)
        .await?;
    Ok(window.cut(rows))
}

/// Extends the wait for the response to a dial request, if a process waits for one.
pub async fn await_until(tx: &mut TenantTx, id: CallId, until: DateTime<Utc>) -> Result<()> {
    let awaited = calls::table
        .find((tx.tenant(), id))
        .filter(calls::awaited_until.is_not_null());
    diesel::update(awaited)
        .set(calls::awaited_until.eq(until))
        .prepared()
        .execute(tx)
        .await?;
    Ok(())
}
