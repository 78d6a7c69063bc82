//! Classes of data: every text, JSON, binary and array column of the schema, every field of the audit trail's
//! snapshots, every field of a log line. A column that is missing here fails the test: classify it, and erase it
//! if it may contain personal data.

/// A table, some of its columns, and why they are in this class.
type Class = (&'static str, &'static str, &'static str);

/// Columns that may contain personal data, and what erases them.
pub const PERSONAL: &[Class] = &[
    ("agents", "metadata", "deleting the agent"),
    (
        "agent_runs",
        "rendered_greeting rendered_prompt",
        "erasing the session",
    ),
    (
        "calls",
        "detail from_number identity reason sip_call_id to_number",
        "erasing the session",
    ),
    (
        "chunks",
        "embedding headings text words",
        "deleting the file",
    ),
    ("files", "metadata name", "deleting the file"),
    (
        "idempotency_keys",
        "body key",
        "erasing what they speak of, or their age",
    ),
    ("inbound_mappings", "variables", "deleting the mapping"),
    ("ingests", "error", "deleting the file"),
    (
        "participants",
        "identity name",
        "erasing the session, or the user",
    ),
    ("rooms", "name", "erasing the session"),
    ("session_events", "facts", "erasing the session"),
    (
        "sessions",
        "end_reason error_detail last_error metadata rendered_greeting rendered_prompt room_name variables",
        "erasing the session",
    ),
    ("transcript_turns", "text turn_id", "erasing the session"),
    ("usage_records", "batch_id", "erasing the session"),
    (
        "users",
        "display_name email email_lower external_id metadata role",
        "erasing the user",
    ),
    ("webhook_events", "payload", "applying the event"),
];

/// Columns with derived personal data that a text search cannot find: rows are counted instead.
pub const UNREADABLE: &str = "chunks.embedding";
/// Columns that contain personal data only for moments: they are empty before the erasure.
pub const MOMENTARY: &str = "webhook_events.payload";

/// Columns without personal data, and what they contain.
pub const PLAIN: &[Class] = &[
    ("__diesel_schema_migrations", "version", "a version"),
    ("activations", "author", "an id"),
    (
        "agent_runs",
        "configuration_digest error_detail state",
        "ours",
    ),
    (
        "agent_runs",
        "dispatch_id participant_identity participant_sid worker_name",
        "ids of agents and of LiveKit",
    ),
    (
        "agents",
        "description name worker_name",
        "the definition of an agent",
    ),
    ("api_keys", "name scopes secret_hash", "the tenant's keys"),
    (
        "artifact_versions",
        "author digest note spec",
        "a definition",
    ),
    ("artifacts", "description kind name", "a definition"),
    (
        "audit_events",
        "action actor_id actor_kind changed request_id resource_id resource_kind",
        "ids and names of fields",
    ),
    ("audit_events", "address", "whence the API was called"),
    ("audit_events", "after before", "the fields of AUDITED"),
    ("bindings", "author knowledge note", "a definition"),
    (
        "calls",
        "answer_detection direction hangup_by left_reason state",
        "words of ours and of LiveKit",
    ),
    ("chunks", "model", "a model"),
    (
        "configurations",
        "digest document",
        "definitions, unrendered",
    ),
    ("files", "media_type sha256", "a kind and a digest"),
    (
        "idempotency_keys",
        "caller etag fingerprint location operation path",
        "ids and digests: the path is made of parsed ids",
    ),
    (
        "inbound_mappings",
        "allowed_addresses headers hours number username worker_name",
        "the tenant's own line",
    ),
    (
        "ingests",
        "error_code model settings stage stages state",
        "words of ours",
    ),
    (
        "jobs",
        "kind last_error traceparent",
        "words of ours, without what others quote, and the id of a trace",
    ),
    ("objects", "sha256 state upload_id", "digests and ids"),
    (
        "participants",
        "disconnect_reason kind sid",
        "words and ids of LiveKit",
    ),
    ("phone_numbers", "number", "the tenant's own number"),
    (
        "secrets",
        "hosts name nonce sealed sealing_key",
        "sealed values",
    ),
    ("session_events", "kind", "words of ours"),
    (
        "sessions",
        "configuration_digest room_sid state worker_name",
        "digests, ids of LiveKit, words of ours",
    ),
    (
        "sip_objects",
        "error kind rule_sid sync_state synced_name trunk_sid",
        "what LiveKit says of the tenant's own lines",
    ),
    (
        "sip_trunks",
        "address name numbers transport username",
        "the tenant's own lines",
    ),
    ("tenants", "limits name settings slug status", "the tenant"),
    ("transcript_turns", "role", "words of ours"),
    ("usage_records", "kind model provider", "services"),
    ("webhook_events", "id room", "an id of LiveKit, a digest"),
    (
        "workers",
        "id kinds plugins version worker_name",
        "what a worker process says of itself",
    ),
];

/// Fields of a resource that the audit trail may contain, by kind. None of them is personal.
pub const AUDITED: &[(&str, &str)] = &[
    (
        "agent",
        "active_binding_id active_binding_number binding_id created_at description file_ids id name number revision updated_at worker_name",
    ),
    (
        "api_key",
        "created_at expires_at id last_used_at name parent_key_id preset revoked_at scopes",
    ),
    (
        "binding",
        "active agent_id author created_at id knowledge note number pins prompt_version_id runtime_config_version_id tool_version_ids",
    ),
    ("call", "agent_id reason session_id state"),
    (
        "file",
        "created_at id media_type revision searchable_generation sha256 size_bytes updated_at",
    ),
    ("job", "kind subject_id"),
    (
        "inbound_mapping",
        "agent_id allowed_addresses closed_agent_id created_at enabled headers hours id number revision sync updated_at username worker_name",
    ),
    ("number", "assigned_at id number tenant_id"),
    (
        "prompt",
        "created_at description id last_version name revision updated_at",
    ),
    (
        "prompt_version",
        "author created_at digest id note number parent_id spec",
    ),
    (
        "runtime_config",
        "created_at description id last_version name revision updated_at",
    ),
    (
        "runtime_config_version",
        "author created_at digest id note number parent_id spec warnings",
    ),
    (
        "session",
        "agent_id agent_run_id binding_id call_id configuration_digest created_at dispatched_at end_reason ended_at expires_at id max_duration_seconds participant revision role room_sid running_at starting_at state stopping_at type",
    ),
    (
        "sip_trunk",
        "address created_at id name numbers revision sync transport updated_at username",
    ),
    (
        "tenant",
        "audit_events calls created_at id limits name revision session_events settings slug status transcript_turns updated_at",
    ),
    (
        "tool",
        "created_at description id last_version name revision updated_at",
    ),
    (
        "tool_version",
        "author created_at digest id note number parent_id spec",
    ),
    ("user", "created_at id revision updated_at"),
];

/// Fields of log lines and of their spans, and what they contain. None of them is personal.
pub const LOGGED: &[(&str, &str)] = &[
    (
        "level message name span target timestamp",
        "the line's own; messages are written out in the code",
    ),
    (
        "method otel.kind otel.name route rpc status db.query.text db.system.name",
        "names of operations, without their values",
    ),
    (
        "call id mapping_id object request_id room sid subject tenant tenant_id trace_id",
        "ids; a room's without who calls in it",
    ),
    (
        "attempt attempts chunks crashes duration_ms events responses limit",
        "amounts",
    ),
    (
        "cause error fault why",
        "words of errors, without what others quote or say",
    ),
    ("code column kind reason", "words of ours"),
    (
        "address confinement role version",
        "the service's own settings and surroundings",
    ),
    (
        "at count is_vital payload thread",
        "where a panic was, in words of the code",
    ),
];
