//! Tools: what an agent may call.

use patchbay_domain::{
    ArtifactId, Invalid, TenantId, VersionId,
    artifact::ArtifactKind,
    timeline::CallStatus,
    tool::{CallIds, ToolSpec as Spec},
};
use patchbay_persistence::{TenantTx, artifacts as rows};
use patchbay_service::{
    Code, Error, Result, UnitOfWork,
    audit::{Change, Event},
    compute::Turn,
    idempotency::Once,
    tools::{
        call::Prepared,
        check::{check_arguments, check_destination},
        outcome::Outcome,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::artifacts::{self, CreateVersion, Naming, Version};
use crate::{
    answer::{Created, Entity, Resource},
    extract::{
        Caller, IdempotencyKey, Json, Path,
        scopes::{ToolsRead as Read, ToolsWrite as Write},
    },
    openapi::{Doc, Tag, TimeLimit},
    panics::seen_through,
    router::Api,
};

/// Most bytes of an answer that a test shows.
const SHOWN: usize = 65_536;

/// Arguments for a tool.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"arguments": {"number": "A-17"}}))]
pub struct ToolArguments {
    /// Arguments, as the version's parameters have them.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub arguments: Map<String, Value>,
}

/// Why a call failed.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"code": "timeout", "message": "no answer within 10s"}))]
pub struct ToolFailure {
    /// Stable code: `address_refused`, `unreachable`, `timeout`, `http_status`, `answer_too_large`, `answer_encoded`,
    /// `redirect_refused`, `not_json`, `result_missing`, `mcp_error`, `tool_error`, `unknown_secret`, `secret_not_for_host`,
    /// `path_climbs`, `invalid_header`, `invalid_url`, `render_failed`. New ones may appear.
    #[schema(max_length = 64)]
    pub code: String,
    /// What went wrong, in words.
    #[schema(max_length = 2000)]
    pub message: String,
}

/// How a call that was tried went.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "succeeded", "result": {"state": "sent"}, "error": null, "http_status": 200,
    "duration_ms": 84, "size_bytes": 27, "answer": "{\"order\":{\"state\":\"sent\"}}", "answer_cut": false
}))]
pub struct ToolTest {
    /// How it ended.
    status: CallStatus,
    /// What the model would be told.
    result: Value,
    /// Why it failed.
    error: Option<ToolFailure>,
    /// Status of the HTTP answer; null where there was none.
    #[schema(minimum = 100, maximum = 999)]
    http_status: Option<u16>,
    /// Milliseconds it took.
    #[schema(minimum = 0, maximum = 600_000)]
    duration_ms: u32,
    /// Bytes of the answer.
    #[schema(minimum = 0)]
    size_bytes: u32,
    /// The answer as it came, its first 64 KiB.
    #[schema(max_length = 65536)]
    answer: String,
    /// Whether there was more of it.
    answer_cut: bool,
}

impl Resource for ToolTest {}

impl From<Outcome> for ToolTest {
    fn from(outcome: Outcome) -> Self {
        Self {
            status: outcome.status(),
            duration_ms: outcome.duration_ms(),
            size_bytes: outcome.size_bytes(),
            answer: String::from_utf8_lossy(&outcome.answer[..outcome.answer.len().min(SHOWN)])
                .into_owned(),
            answer_cut: outcome.answer.len() > SHOWN,
            result: outcome.result,
            error: outcome.error.map(ToolFailure::from),
            http_status: outcome.http_status,
        }
    }
}

impl From<Invalid> for ToolFailure {
    fn from(invalid: Invalid) -> Self {
        let mut message = invalid.message;
        if let Some((end, _)) = message.char_indices().nth(2000) {
            message.truncate(end);
        }
        Self {
            code: invalid.code,
            message,
        }
    }
}

async fn create_version(
    caller: Caller<Write>,
    path: Path<(TenantId, ArtifactId)>,
    body: Json<CreateVersion<Spec>>,
    key: IdempotencyKey,
) -> Result<Once<Created<Version<Spec>>>> {
    let service = caller.service.clone();
    let (body, destination) = caller
        .compute(move |_| {
            let destination = body.0.spec.destination();
            Ok((body, destination))
        })
        .await?;
    let admit = async |tx: &mut TenantTx, _: &Spec| {
        let admitted = check_destination(&service, tx, destination.as_ref()).await?;
        let admitted = admitted.map_err(|found| Error::invalid_within("/spec", vec![found]));
        admitted.map(drop)
    };
    artifacts::create_version_if(caller, path, body, key, admit).await
}

async fn test(
    caller: Caller<Write>,
    Path((_, id, version)): Path<(TenantId, ArtifactId, VersionId)>,
    Json(body): Json<ToolArguments>,
    key: IdempotencyKey,
) -> Result<Once<Entity<ToolTest>>> {
    let turn = caller.turn().await?;
    let prepare =
        async |unit: &mut UnitOfWork| prepare(&caller, (unit, turn), (id, version), body).await;
    let prepared = match caller.prepare(&key, Prepared::timeout, prepare).await? {
        Once::Fresh(prepared) => prepared,
        Once::Replayed(parts) => return Ok(Once::Replayed(parts)),
    };
    // Whoever asked may hang up; what was begun is seen through and recorded.
    seen_through(async move {
        let answer = Entity(ToolTest::from(prepared.carry_out(&caller.service).await));
        caller
            .complete(&key, async |_| Ok(Change::none(answer)))
            .await
    })
    .await
}

async fn prepare(
    caller: &Caller<Write>,
    (unit, turn): (&mut UnitOfWork, Turn),
    (id, version): (ArtifactId, VersionId),
    body: ToolArguments,
) -> Result<Change<Prepared>> {
    let found = rows::find_version(unit, ArtifactKind::Tool, Some(id), version).await?;
    let spec = found.ok_or_else(Error::not_found)?.spec;
    let spec = turn.run(move |_| spec.read::<Spec>()).await?;
    let spec = spec.map_err(Error::internal)?;
    let checked = check_arguments(&turn, spec, body.arguments).await?;
    let ids = CallIds {
        id: caller.service.clock.new_uuid().to_string(),
        session_id: None,
        agent_run_id: None,
    };
    let prepared = Prepared::new(&caller.service, unit, checked, ids).await?;
    let event = Event::of("tested", "tool_version", version, None::<&()>, None::<&()>);
    Ok(Change::one(prepared, event))
}

/// The tool and the arguments, if it is one that Patchbay calls and its schema allows them.
const NAMING: Naming = Naming {
    path: "tools",
    parameter: "tool_id",
    id: "Tool",
    noun: "tool",
};

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Tools);
    artifacts::routes::<Spec, Read, Write>(&mut api, &NAMING);
    api.add(
        &NAMING.versions(),
        create_version,
        Doc::post("createToolVersion", "Create a tool version").about(
            "Versions are immutable and numbered from 1. The schema is compiled, templates may \
             use declared arguments only, the address must be one that may be called, and every \
             secret named must be allowed to go there.",
        ),
    );
    api.add(
        &format!("{}/test", NAMING.version()),
        test,
        Doc::post("testToolVersion", "Test a tool version")
            .about(
                "Calls it once, for real, with these arguments and the tenant's secrets, and \
                 answers what came back. A call that fails is an answer too: look at `status`.",
            )
            .errors(&[
                Code::ToolNotCallable,
                Code::OutcomeUnknown,
                Code::SecretsNotConfigured,
            ])
            .starts()
            .time(TimeLimit::Tool),
    );
}
