//! Transcript and usage of a session, which workers report.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    Invalid, SessionId, TenantId, TurnId, clock,
    text::{Name, Text, Word},
    transcript::{TurnRole, UsageKind},
};
use patchbay_persistence::{TenantTx, transcripts, usage};
use patchbay_service::{
    Error, Result, UnitOfWork,
    audit::Change,
    sessions::transcript::{append_turns, append_usage},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    lookup,
    order::{Order, forward_start},
};
use crate::{
    extract::{
        Caller, Json, List, Path,
        scopes::{SessionView, SessionsRead, Worker},
    },
    response::{Entity, Page, Resource},
};

/// Maximum number of entries in one report.
const MAX_ENTRIES: usize = 100;

/// A turn of the conversation.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "id": "item_1", "role": "user", "text": "When do you open?",
    "started_at": "2026-11-23T20:00:03Z", "ended_at": "2026-11-23T20:00:05Z", "interrupted": false
}))]
pub struct Turn {
    /// Id assigned by the worker, unique in the session; a turn with a known id is ignored.
    id: Word,
    /// Speaker of the turn.
    role: TurnRole,
    /// Text of the turn.
    text: Text<0, 20_000>,
    /// Start time of the turn.
    #[serde(deserialize_with = "clock::read_time")]
    started_at: DateTime<Utc>,
    /// End time of the turn.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    ended_at: Option<DateTime<Utc>>,
    /// Whether the other side interrupted the turn.
    #[serde(default)]
    interrupted: bool,
}

impl TryFrom<transcripts::Turn> for Turn {
    type Error = Error;
    fn try_from(row: transcripts::Turn) -> Result<Self> {
        let transcripts::Turn {
            tenant_id: _,
            id: _,
            session_id: _,
            turn_id,
            role,
            text,
            started_at,
            ended_at,
            interrupted,
            created_at: _,
        } = row;
        Ok(Self {
            id: Word::new(turn_id)?,
            role,
            text: Text::new(text)?,
            started_at,
            ended_at,
            interrupted,
        })
    }
}

/// Turns to append.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"turns": [{
    "id": "item_1", "role": "user", "text": "When do you open?", "started_at": "2026-11-23T20:00:03Z"
}]}))]
pub struct AppendTranscript {
    /// Turns, in chronological order.
    #[schema(min_items = 1, max_items = 100)]
    turns: Vec<Turn>,
}

/// The result of a report.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"received": 2, "added": 1}))]
pub struct Receipt {
    /// Number of entries in the report.
    #[schema(minimum = 1, value_type = i32)]
    received: usize,
    /// Number of entries that were new.
    #[schema(minimum = 0, value_type = i32)]
    added: usize,
}

impl Resource for Receipt {}

/// Usage of one model of one provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "llm", "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 412, "output_tokens": 58}))]
pub struct UsageItem {
    /// Kind of the usage.
    kind: UsageKind,
    /// Name of the provider.
    provider: Name,
    /// Name of the model.
    model: Name,
    /// Number of input tokens.
    #[serde(default)]
    input_tokens: u32,
    /// Number of output tokens.
    #[serde(default)]
    output_tokens: u32,
    /// Duration of transcribed audio in seconds.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400)]
    audio_seconds: f64,
    /// Number of synthesized characters.
    #[serde(default)]
    characters: u32,
}

/// Usage to append.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "batch_1", "items": [
    {"kind": "llm", "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 412, "output_tokens": 58}
]}))]
pub struct AppendUsage {
    /// Id of the report, assigned by the worker and unique in the session; a report with a known id is ignored.
    id: Word,
    /// Usage by model.
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<UsageItem>,
}

/// Total usage of one model of one provider in a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "llm", "provider": "openai", "model": "gpt-4o-mini",
    "input_tokens": 412, "output_tokens": 58, "audio_seconds": 0.0, "characters": 0
}))]
pub struct UsageTotal {
    /// Kind of the usage.
    kind: UsageKind,
    /// Name of the provider.
    #[schema(max_length = 200)]
    provider: String,
    /// Name of the model.
    #[schema(max_length = 200)]
    model: String,
    /// Number of input tokens.
    #[schema(minimum = 0)]
    input_tokens: i64,
    /// Number of output tokens.
    #[schema(minimum = 0)]
    output_tokens: i64,
    /// Duration of transcribed audio in seconds.
    #[schema(minimum = 0)]
    audio_seconds: f64,
    /// Number of synthesized characters.
    #[schema(minimum = 0)]
    characters: i64,
}

impl From<usage::Total> for UsageTotal {
    fn from(row: usage::Total) -> Self {
        let usage::Total {
            kind,
            provider,
            model,
            input_tokens,
            output_tokens,
            audio_seconds,
            characters,
        } = row;
        Self {
            kind,
            provider,
            model,
            input_tokens,
            output_tokens,
            audio_seconds,
            characters,
        }
    }
}

/// Total usage of a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"totals": [{
    "kind": "llm", "provider": "openai", "model": "gpt-4o-mini",
    "input_tokens": 412, "output_tokens": 58, "audio_seconds": 0.0, "characters": 0
}]}))]
pub struct SessionUsage {
    /// Totals by kind, provider and model.
    #[schema(max_items = 1000)]
    totals: Vec<UsageTotal>,
}

impl Resource for SessionUsage {}

/// Order of a transcript.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TranscriptFilter {
    /// Order of the turns; `newest_first` by default.
    #[schema(inline)]
    order: Option<Order>,
    /// Only turns that were appended after the one with this id, oldest first. With the id of the last turn that you have,
    /// you get what is new.
    after: Option<Word>,
}

fn check_count(pointer: &str, count: usize) -> Result<()> {
    if (1..=MAX_ENTRIES).contains(&count) {
        return Ok(());
    }
    let invalid = Invalid::new(
        "out_of_range",
        format!("1 to {MAX_ENTRIES} entries are allowed"),
    );
    Err(Error::invalid_at(pointer, invalid))
}

pub(super) async fn append(
    caller: Caller<Worker>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    Json(body): Json<AppendTranscript>,
) -> Result<Entity<Receipt>> {
    let received = body.turns.len();
    check_count("/turns", received)?;
    let clock = &caller.service.clock;
    let row = |turn: Turn| transcripts::Turn {
        tenant_id: tenant,
        id: clock.new_id(),
        session_id: id,
        turn_id: turn.id.into_inner(),
        role: turn.role,
        text: turn.text.into_inner(),
        started_at: turn.started_at,
        ended_at: turn.ended_at,
        interrupted: turn.interrupted,
        created_at: clock.now(),
    };
    let mut rows: Vec<_> = body.turns.into_iter().map(row).collect();
    let append = async |unit: &mut UnitOfWork| {
        let added = append_turns(unit, id, &mut rows).await?;
        Ok(Change::without_events(added))
    };
    let added = caller.change(append).await?;
    Ok(Entity(Receipt { received, added }))
}

pub(super) async fn list(
    caller: Caller<SessionView>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    list: List<TranscriptFilter>,
) -> Result<Page<Turn>> {
    let mut tx = caller.read().await?;
    lookup::require(&mut tx, id).await?;
    let after = find_turn(&mut tx, id, list.filter.after).await?;
    let after = after.map(TurnId::uuid);
    let start = forward_start(&list.window, list.filter.order, after)?;
    let rows = transcripts::list(&mut tx, id, list.window, start).await?;
    tx.finish();
    Page::try_new(rows, |row| row.id.uuid(), Turn::try_from)
}

async fn find_turn(
    tx: &mut TenantTx,
    session: SessionId,
    turn: Option<Word>,
) -> Result<Option<TurnId>> {
    let Some(turn) = turn else {
        return Ok(None);
    };
    let found = transcripts::find_id(tx, session, &turn).await?;
    let unknown = || Error::unknown_reference("/after");
    found.ok_or_else(unknown).map(Some)
}

pub(super) async fn report_usage(
    caller: Caller<Worker>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    Json(body): Json<AppendUsage>,
) -> Result<Entity<Receipt>> {
    let received = body.items.len();
    check_count("/items", received)?;
    let rows = usage_rows(&caller, (tenant, id), body)?;
    let append = async |unit: &mut UnitOfWork| {
        Ok(Change::without_events(append_usage(unit, id, &rows).await?))
    };
    let added = caller.change(append).await?;
    Ok(Entity(Receipt { received, added }))
}

fn usage_rows(
    caller: &Caller<Worker>,
    (tenant, session): (TenantId, SessionId),
    body: AppendUsage,
) -> Result<Vec<usage::Usage>> {
    let clock = &caller.service.clock;
    let mut rows = Vec::with_capacity(body.items.len());
    for (position, item) in (0..).zip(body.items) {
        if !(0.0..=86_400.0).contains(&item.audio_seconds) {
            let invalid = Invalid::new("out_of_range", "0 to 86400 is allowed");
            let pointer = format!("/items/{position}/audio_seconds");
            return Err(Error::invalid_at(&pointer, invalid));
        }
        rows.push(usage::Usage {
            tenant_id: tenant,
            id: clock.new_id(),
            session_id: session,
            batch_id: body.id.to_string(),
            position,
            kind: item.kind,
            provider: item.provider.into_inner(),
            model: item.model.into_inner(),
            input_tokens: item.input_tokens.into(),
            output_tokens: item.output_tokens.into(),
            audio_seconds: item.audio_seconds,
            characters: item.characters.into(),
            created_at: clock.now(),
        });
    }
    Ok(rows)
}

pub(super) async fn usage(
    caller: Caller<SessionsRead>,
    Path((_, id)): Path<(TenantId, SessionId)>,
) -> Result<Entity<SessionUsage>> {
    let mut tx = caller.read().await?;
    lookup::require(&mut tx, id).await?;
    let totals = usage::of_session(&mut tx, id).await?;
    tx.finish();
    let totals = totals.into_iter().map(UsageTotal::from).collect();
    Ok(Entity(SessionUsage { totals }))
}
