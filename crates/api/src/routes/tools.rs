//! Routes of tools.

use patchbay_domain::{
    ArtifactId, Invalid, TenantId, VersionId,
    artifact::ArtifactKind,
    timeline::ToolCallStatus,
    tool::{CallIds, ToolSpec as Spec},
};
use patchbay_persistence::{TenantTx, artifacts as rows};
use patchbay_service::{
    Code, Error, Result, UnitOfWork,
    audit::{Change, Event},
    compute::ComputePermit,
    idempotency::Idempotent,
    tools::{
        call::PreparedCall,
        check::{check_arguments, check_destination},
        outcome::Outcome,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::artifacts::{self, CreateVersion, Naming, Version};
use crate::{
    extract::{
        Caller, IdempotencyKey, Json, Path,
        scopes::{ToolsRead as Read, ToolsWrite as Write},
    },
    openapi::{Doc, Tag, TimeLimit, vocabulary::ToolErrorCode},
    panics::run_to_completion,
    response::{Created, Entity, Resource},
    router::Api,
};

/// Maximum bytes of a response body that a test returns.
const MAX_BODY_RETURNED: usize = 65_536;

/// Request to test a tool version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"arguments": {"number": "A-17"}}))]
pub struct ToolArguments {
    /// Arguments that match the JSON schema of the version's parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub arguments: Map<String, Value>,
}

/// Error of a failed tool call.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({"code": "timeout", "message": "no response within 10s"}))]
pub struct ToolFailure {
    /// Stable error code. New codes may be added.
    #[schema(value_type = ToolErrorCode)]
    pub code: String,
    /// Human-readable error message.
    #[schema(max_length = 2000)]
    pub message: String,
}

/// Result of a test call.
#[derive(Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "succeeded", "result": {"state": "sent"}, "error": null, "http_status": 200,
    "duration_ms": 84, "size_bytes": 27, "answer": "{\"order\":{\"state\":\"sent\"}}", "answer_cut": false
}))]
pub struct ToolTest {
    /// Status of the call.
    status: ToolCallStatus,
    /// Result that the model would receive.
    result: Value,
    /// Error of a failed call; null if the call succeeded.
    error: Option<ToolFailure>,
    /// HTTP status of the response; null if there was no response.
    #[schema(minimum = 100, maximum = 999)]
    http_status: Option<u16>,
    /// Duration in milliseconds.
    #[schema(minimum = 0, maximum = 600_000)]
    duration_ms: u32,
    /// Size of the response body in bytes.
    #[schema(minimum = 0)]
    size_bytes: u32,
    /// Response body as received, truncated to 64 KiB.
    #[schema(max_length = 65536)]
    answer: String,
    /// Whether `answer` is truncated.
    answer_cut: bool,
}

impl Resource for ToolTest {}

impl From<Outcome> for ToolTest {
    fn from(outcome: Outcome) -> Self {
        Self {
            status: outcome.status(),
            duration_ms: outcome.duration_ms(),
            size_bytes: outcome.size_bytes(),
            answer: String::from_utf8_lossy(
                &outcome.body[..outcome.body.len().min(MAX_BODY_RETURNED)],
            )
            .into_owned(),
            answer_cut: outcome.body.len() > MAX_BODY_RETURNED,
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
) -> Result<Idempotent<Created<Version<Spec>>>> {
    let service = caller.service.clone();
    let (body, destination) = caller
        .compute(move |_| {
            let destination = body.0.spec.destination();
            Ok((body, destination))
        })
        .await?;
    let admit = async |tx: &mut TenantTx, _: &Spec| {
        let checked = check_destination(&service, tx, destination.as_ref()).await?;
        let checked = checked.map_err(|invalid| Error::invalid_within("/spec", vec![invalid]));
        checked.map(drop)
    };
    artifacts::create_version_if(caller, path, body, key, admit).await
}

async fn test(
    caller: Caller<Write>,
    Path((_, id, version)): Path<(TenantId, ArtifactId, VersionId)>,
    Json(body): Json<ToolArguments>,
    key: IdempotencyKey,
) -> Result<Idempotent<Entity<ToolTest>>> {
    let permit = caller.compute_permit().await?;
    let prepare =
        async |unit: &mut UnitOfWork| prepare(&caller, (unit, permit), (id, version), body).await;
    let prepared = match caller.prepare(&key, PreparedCall::timeout, prepare).await? {
        Idempotent::Fresh(prepared) => prepared,
        Idempotent::Replayed(parts) => return Ok(Idempotent::Replayed(parts)),
    };
    // The call is completed and recorded even if the client disconnects.
    run_to_completion(async move {
        let response = Entity(ToolTest::from(prepared.execute(&caller.service).await));
        caller
            .complete(&key, async |_| Ok(Change::without_events(response)))
            .await
    })
    .await
}

async fn prepare(
    caller: &Caller<Write>,
    (unit, permit): (&mut UnitOfWork, ComputePermit),
    (id, version): (ArtifactId, VersionId),
    body: ToolArguments,
) -> Result<Change<PreparedCall>> {
    let found = rows::find_version(unit, ArtifactKind::Tool, Some(id), version).await?;
    let spec = found.ok_or_else(Error::not_found)?.spec;
    let spec = permit.run(move |_| spec.read::<Spec>()).await?;
    let spec = spec.map_err(Error::internal)?;
    let checked = check_arguments(&permit, spec, body.arguments).await?;
    let ids = CallIds {
        id: caller.service.clock.new_uuid().to_string(),
        session_id: None,
        agent_run_id: None,
    };
    let prepared = PreparedCall::new(&caller.service, unit, checked, ids).await?;
    let event = Event::new("tested", "tool_version", version, None::<&()>, None::<&()>);
    Ok(Change::one(prepared, event))
}

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
            "Adds an immutable version, numbered from 1. The parameter schema is compiled. \
             Templates may only use declared arguments. The address must be one that tools may \
             call, and each named secret must be allowed for its host.",
        ),
    );
    api.add(
        &format!("{}/test", NAMING.version()),
        test,
        Doc::post("testToolVersion", "Test a tool version")
            .about(
                "Calls the tool once, for real, with the given arguments and the tenant's secrets, \
                 and returns the response. A failed call is also returned with status 200; \
                 `status` shows whether it succeeded.",
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
