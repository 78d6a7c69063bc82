//! What was said, and what it used: reported by the worker, read by everyone else.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    Invalid, SessionId, TenantId, clock,
    text::{Name, Text, Word},
    transcript::{TurnRole, UsageKind},
};
use patchbay_persistence::{transcripts, usage};
use patchbay_service::{
    Error, Result, UnitOfWork,
    audit::Change,
    sessions::transcript::{append_turns, append_usage},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::lookup;
use crate::{
    answer::{Entity, Page, Resource},
    extract::{
        Caller, Json, List, NoFilter, Path,
        scopes::{SessionsRead, Worker},
    },
};

/// Most turns or amounts of one report.
const MOST: usize = 100;

/// One turn of a conversation.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "id": "item_1", "role": "user", "text": "When do you open?",
    "started_at": "2026-11-23T20:00:03Z", "ended_at": "2026-11-23T20:00:05Z", "interrupted": false
}))]
pub struct Turn {
    /// The worker's own id, unique in the session: a turn that is sent again changes nothing.
    id: Word,
    /// Who spoke.
    role: TurnRole,
    /// What was said.
    text: Text<0, 20_000>,
    /// When it began.
    #[serde(deserialize_with = "clock::read_time")]
    started_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    ended_at: Option<DateTime<Utc>>,
    /// Whether it was cut short by the other side.
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

/// Turns to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"turns": [{
    "id": "item_1", "role": "user", "text": "When do you open?", "started_at": "2026-11-23T20:00:03Z"
}]}))]
pub struct AppendTranscript {
    /// The turns, in their order.
    #[schema(min_items = 1, max_items = 100)]
    turns: Vec<Turn>,
}

/// What a report has added.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"received": 2, "added": 1}))]
pub struct Receipt {
    /// Entries of the report.
    #[schema(minimum = 1, value_type = i32)]
    received: usize,
    /// Those that were not known before.
    #[schema(minimum = 0, value_type = i32)]
    added: usize,
}

impl Resource for Receipt {}

/// An amount of what one model of one provider did.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "llm", "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 412, "output_tokens": 58}))]
pub struct UsageItem {
    /// What it was used for.
    kind: UsageKind,
    /// The provider.
    provider: Name,
    /// The model.
    model: Name,
    /// Tokens it was given.
    #[serde(default)]
    input_tokens: u32,
    /// Tokens it made.
    #[serde(default)]
    output_tokens: u32,
    /// Seconds of audio it heard.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400)]
    audio_seconds: f64,
    /// Characters it spoke.
    #[serde(default)]
    characters: u32,
}

/// Usage to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "batch_1", "items": [
    {"kind": "llm", "provider": "openai", "model": "gpt-4o-mini", "input_tokens": 412, "output_tokens": 58}
]}))]
pub struct AppendUsage {
    /// The worker's own id of this report, unique in the session: a report that is sent again changes nothing.
    id: Word,
    /// The amounts.
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<UsageItem>,
}

/// What one model of one provider did in a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "llm", "provider": "openai", "model": "gpt-4o-mini",
    "input_tokens": 412, "output_tokens": 58, "audio_seconds": 0.0, "characters": 0
}))]
pub struct UsageTotal {
    /// What it was used for: `llm`, `stt` or `tts`.
    #[schema(max_length = 10)]
    kind: String,
    /// The provider.
    #[schema(max_length = 200)]
    provider: String,
    /// The model.
    #[schema(max_length = 200)]
    model: String,
    /// Tokens it was given.
    #[schema(minimum = 0)]
    input_tokens: i64,
    /// Tokens it made.
    #[schema(minimum = 0)]
    output_tokens: i64,
    /// Seconds of audio it heard.
    #[schema(minimum = 0)]
    audio_seconds: f64,
    /// Characters it spoke.
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
            kind: kind.as_str().to_owned(),
            provider,
            model,
            input_tokens,
            output_tokens,
            audio_seconds,
            characters,
        }
    }
}

/// What a session has used.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"totals": [{
    "kind": "llm", "provider": "openai", "model": "gpt-4o-mini",
    "input_tokens": 412, "output_tokens": 58, "audio_seconds": 0.0, "characters": 0
}]}))]
pub struct SessionUsage {
    /// Sums by kind, provider and model.
    #[schema(max_items = 1000)]
    totals: Vec<UsageTotal>,
}

impl Resource for SessionUsage {}

fn check_count(pointer: &str, count: usize) -> Result<()> {
    if (1..=MOST).contains(&count) {
        return Ok(());
    }
    let invalid = Invalid::new("out_of_range", format!("1 to {MOST} entries are allowed"));
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
    let rows: Vec<_> = body.turns.into_iter().map(row).collect();
    let append =
        async |unit: &mut UnitOfWork| Ok(Change::none(append_turns(unit, id, &rows).await?));
    let added = caller.change(append).await?;
    Ok(Entity(Receipt { received, added }))
}

pub(super) async fn list(
    caller: Caller<SessionsRead>,
    Path((_, id)): Path<(TenantId, SessionId)>,
    list: List<NoFilter>,
) -> Result<Page<Turn>> {
    let mut tx = caller.read().await?;
    lookup::require(&mut tx, id).await?;
    let rows = transcripts::list(&mut tx, id, list.window).await?;
    tx.finish();
    Page::try_new(rows, |row| row.id.uuid(), Turn::try_from)
}

pub(super) async fn report_usage(
    caller: Caller<Worker>,
    Path((tenant, id)): Path<(TenantId, SessionId)>,
    Json(body): Json<AppendUsage>,
) -> Result<Entity<Receipt>> {
    let received = body.items.len();
    check_count("/items", received)?;
    let rows = usage_rows(&caller, (tenant, id), body)?;
    let append =
        async |unit: &mut UnitOfWork| Ok(Change::none(append_usage(unit, id, &rows).await?));
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
