//! Tools: what an agent may call.

use actix_web::http::Method;
use patchbay_domain::{
    ArtifactId, TenantId, VersionId,
    artifact::ArtifactKind,
    tool::{CallIds, Kind, ToolSpec as Spec},
};
use patchbay_persistence::{TenantTx, artifacts as rows};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::artifacts::{self, CreateVersion, Version};
use crate::{
    answer::{Created, Entity, Resource},
    audit::{Change, Event},
    compute::Turn,
    error::{ApiError, Code, Result},
    extract::{
        Caller, IdempotencyKey, Json, Path,
        scopes::{ToolsRead as Read, ToolsWrite as Write},
    },
    flows::tools::{self as flow, Checked, Outcome, Prepared},
    once::{Once, Pending},
    openapi::{Api, Doc, Tag},
    panics::seen_through,
    timeline::CallStatus,
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

impl From<patchbay_domain::Invalid> for ToolFailure {
    fn from(invalid: patchbay_domain::Invalid) -> Self {
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
    let app = caller.app.clone();
    let (body, destination) = caller
        .compute(move |_| {
            let destination = body.0.spec.destination();
            Ok((body, destination))
        })
        .await?;
    let admit = async |tx: &mut TenantTx, _: &Spec| {
        let admitted = flow::admit(&app, tx, destination.as_ref()).await?;
        let admitted = admitted.map_err(|found| ApiError::invalid_within("/spec", vec![found]));
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
    let prepare = async |tx: &mut TenantTx| prepare(&caller, (tx, turn), (id, version), body).await;
    let prepared = match caller.pend(&key, Prepared::timeout, prepare).await? {
        Pending::Prepared(prepared) => prepared,
        Pending::Replayed(parts) => return Ok(Once::Replayed(parts)),
    };
    // Whoever asked may hang up; what was begun is seen through and recorded.
    seen_through(async move {
        let answer = Entity(ToolTest::from(prepared.carry_out(&caller.app).await));
        caller
            .settle(&key, async |_| Ok(Change::none(answer)))
            .await
    })
    .await
}

async fn prepare(
    caller: &Caller<Write>,
    (tx, turn): (&mut TenantTx, Turn),
    (id, version): (ArtifactId, VersionId),
    body: ToolArguments,
) -> Result<Change<Prepared>> {
    let found = rows::find_version(tx, ArtifactKind::Tool, Some(id), version).await?;
    let spec = found.ok_or_else(ApiError::not_found)?.spec;
    let spec = turn.run(move |_| spec.read::<Spec>()).await?;
    let checked = checked(&turn, spec.map_err(ApiError::internal)?, body).await?;
    let ids = CallIds {
        id: caller.app.clock.new_uuid().to_string(),
        session_id: None,
        agent_run_id: None,
    };
    let prepared = Prepared::new(&caller.app, tx, checked, ids).await?;
    let event = Event::of("tested", "tool_version", version, None::<&()>, None::<&()>);
    Ok(Change::one(prepared, event))
}

/// The tool and the arguments, if it is one that Patchbay calls and its schema allows them.
pub(super) async fn checked(turn: &Turn, spec: Spec, body: ToolArguments) -> Result<Checked> {
    if let Kind::Client(_) = spec.kind()? {
        let detail = "It is carried out by the client of somebody in the room.";
        return Err(ApiError::new(Code::ToolNotCallable, detail));
    }
    let work = move |_| {
        let arguments = Value::Object(body.arguments);
        let checked = spec.check_arguments(&arguments);
        checked.map_err(|found| ApiError::invalid_within("/arguments", found))?;
        let destination = spec.destination();
        Ok(Checked {
            spec,
            destination,
            arguments,
        })
    };
    turn.run(work).await?
}

pub(super) fn routes(api: &mut Api) {
    let tag = Tag::Tools;
    let all = "/api/tenants/{tenant_id}/tools";
    let one = "/api/tenants/{tenant_id}/tools/{tool_id}";
    api.route(
        Method::POST,
        all,
        artifacts::create::<Spec, Write>,
        Doc {
            id: "createTool",
            tag,
            summary: "Create a tool",
            description: "A name for versions to come; add the first one next.",
            errors: &[Code::NameTaken],
        },
    );
    api.route(
        Method::GET,
        all,
        artifacts::list::<Spec, Read>,
        Doc {
            id: "listTools",
            tag,
            summary: "List tools",
            description: "The tenant's tools, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        artifacts::get::<Spec, Read>,
        Doc {
            id: "getTool",
            tag,
            summary: "Get a tool",
            description: "The tool with the number of its newest version.",
            errors: &[],
        },
    );
    api.route(
        Method::PATCH,
        one,
        artifacts::patch::<Spec, Write>,
        Doc {
            id: "updateTool",
            tag,
            summary: "Update a tool",
            description: "Changes name or description. Content never changes: add a version.",
            errors: &[Code::NameTaken],
        },
    );
    api.route(Method::DELETE, one, artifacts::delete::<Spec, Write>, Doc {
        id: "deleteTool",
        tag,
        summary: "Delete a tool",
        description: "Deletes the tool with its versions. Refused while a binding names one of them.",
        errors: &[Code::VersionInUse],
    });
    version_routes(api, tag);
}

fn version_routes(api: &mut Api, tag: Tag) {
    let all = "/api/tenants/{tenant_id}/tools/{tool_id}/versions";
    let one = "/api/tenants/{tenant_id}/tools/{tool_id}/versions/{version_id}";
    api.route(Method::POST, all, create_version, Doc {
        id: "createToolVersion",
        tag,
        summary: "Create a tool version",
        description: "Versions are immutable and numbered from 1. The schema is compiled, templates may use declared arguments only, the \
            address must be one that may be called, and every secret named must be allowed to go there.",
        errors: &[],
    });
    api.route(
        Method::GET,
        all,
        artifacts::list_versions::<Spec, Read>,
        Doc {
            id: "listToolVersions",
            tag,
            summary: "List tool versions",
            description: "The versions of the tool, newest first.",
            errors: &[],
        },
    );
    api.route(
        Method::GET,
        one,
        artifacts::get_version::<Spec, Read>,
        Doc {
            id: "getToolVersion",
            tag,
            summary: "Get a tool version",
            description: "The version with its content and digest.",
            errors: &[],
        },
    );
    api.route(
        Method::DELETE,
        one,
        artifacts::delete_version::<Spec, Write>,
        Doc {
            id: "deleteToolVersion",
            tag,
            summary: "Delete a tool version",
            description: "Its number is not used again. Refused while a binding names it.",
            errors: &[Code::VersionInUse],
        },
    );
    api.route(Method::POST, "/api/tenants/{tenant_id}/tools/{tool_id}/versions/{version_id}/test", test, Doc {
        id: "testToolVersion",
        tag,
        summary: "Test a tool version",
        description: "Calls it once, for real, with these arguments and the tenant's secrets, and tells what came back. A call that fails is \
            an answer too: look at `status`.",
        errors: &[Code::ToolNotCallable, Code::OutcomeUnknown, Code::SecretsNotConfigured],
    });
}
