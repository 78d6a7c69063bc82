-- Runs as the owner role. The application connects as `patchbay_app` or a member of it, which must
-- exist, own nothing and not bypass row-level security.

-- Lookup tables: what must be found before the tenant is known. No row-level security.

CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    name text NOT NULL,
    status text NOT NULL,
    settings jsonb NOT NULL,
    limits jsonb NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
ALTER TABLE tenants ADD CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended'));

CREATE TABLE api_keys (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL UNIQUE,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);

-- Kept after the session is erased: an unexpired join token can bring its room back.
CREATE TABLE rooms (
    name text PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    session_id uuid NOT NULL
);

CREATE TABLE webhook_events (
    id text PRIMARY KEY,
    received_at timestamptz NOT NULL,
    payload jsonb NOT NULL,
    next_try_at timestamptz NOT NULL,
    applied_at timestamptz
);
CREATE INDEX webhook_events_pending ON webhook_events (next_try_at) WHERE applied_at IS NULL;

-- At most one job for a subject: work on one session never runs twice at a time.
CREATE TABLE jobs (
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    tenant_id uuid,
    run_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 1,
    claimed_until timestamptz,
    last_error text,
    dead_at timestamptz,
    PRIMARY KEY (kind, subject_id)
);
CREATE INDEX jobs_due ON jobs (run_at) WHERE dead_at IS NULL;

-- Tenant tables.

CREATE TABLE agents (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    worker_name text NOT NULL,
    metadata jsonb NOT NULL,
    active_binding_id uuid,
    last_binding integer NOT NULL DEFAULT 0,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT agents_name_key UNIQUE (tenant_id, name)
);

CREATE TABLE artifacts (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    last_version integer NOT NULL DEFAULT 0,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT artifacts_name_key UNIQUE (tenant_id, kind, name)
);
ALTER TABLE artifacts ADD CONSTRAINT artifacts_kind_check CHECK (kind IN ('prompt', 'runtime_config'));

CREATE TABLE artifact_versions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    artifact_id uuid NOT NULL,
    number integer NOT NULL,
    spec jsonb NOT NULL,
    note text NOT NULL,
    digest text NOT NULL,
    author text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT artifact_versions_number_key UNIQUE (tenant_id, artifact_id, number),
    CONSTRAINT artifact_versions_artifact_fkey FOREIGN KEY (tenant_id, artifact_id) REFERENCES artifacts ON DELETE CASCADE
);

CREATE TABLE bindings (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    number integer NOT NULL,
    prompt_version_id uuid NOT NULL,
    runtime_config_version_id uuid NOT NULL,
    note text NOT NULL,
    author text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT bindings_number_key UNIQUE (tenant_id, agent_id, number),
    CONSTRAINT bindings_agent_fkey FOREIGN KEY (tenant_id, agent_id) REFERENCES agents ON DELETE CASCADE,
    CONSTRAINT bindings_prompt_version_fkey FOREIGN KEY (tenant_id, prompt_version_id) REFERENCES artifact_versions,
    CONSTRAINT bindings_runtime_config_version_fkey FOREIGN KEY (tenant_id, runtime_config_version_id) REFERENCES artifact_versions
);
CREATE INDEX bindings_prompt_version ON bindings (tenant_id, prompt_version_id);
CREATE INDEX bindings_runtime_config_version ON bindings (tenant_id, runtime_config_version_id);

-- History from here on: agent and binding are plain ids, so that it stays readable after a delete.

CREATE TABLE activations (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    binding_id uuid NOT NULL,
    binding_number integer NOT NULL,
    author text NOT NULL,
    activated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX activations_agent ON activations (tenant_id, agent_id, id);

CREATE TABLE configurations (
    tenant_id uuid NOT NULL REFERENCES tenants,
    digest text NOT NULL,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);

CREATE TABLE sessions (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    binding_id uuid NOT NULL,
    configuration_digest text NOT NULL,
    worker_name text NOT NULL,
    state text NOT NULL,
    end_reason text,
    error_detail text,
    last_error text,
    room_name text NOT NULL,
    room_sid text,
    variables jsonb NOT NULL,
    metadata jsonb NOT NULL,
    rendered_prompt text NOT NULL,
    rendered_greeting text,
    max_duration_seconds integer NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    starting_at timestamptz,
    dispatched_at timestamptz,
    running_at timestamptz,
    stopping_at timestamptz,
    ended_at timestamptz,
    room_missing_since timestamptz,
    room_deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT sessions_configuration_fkey FOREIGN KEY (tenant_id, configuration_digest) REFERENCES configurations
);
ALTER TABLE sessions ADD CONSTRAINT sessions_state_check
    CHECK (state IN ('created', 'starting', 'running', 'stopping', 'ended', 'failed'));
CREATE INDEX sessions_agent ON sessions (tenant_id, agent_id, id);
CREATE INDEX sessions_state ON sessions (tenant_id, state, id);

CREATE TABLE agent_runs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    configuration_digest text NOT NULL,
    is_primary boolean NOT NULL,
    attempt integer NOT NULL,
    state text NOT NULL,
    dispatch_id text,
    participant_sid text,
    participant_identity text,
    created_at timestamptz NOT NULL,
    dispatched_at timestamptz,
    joined_at timestamptz,
    left_at timestamptz,
    missing_since timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT agent_runs_session_fkey FOREIGN KEY (tenant_id, session_id) REFERENCES sessions ON DELETE CASCADE
);
ALTER TABLE agent_runs ADD CONSTRAINT agent_runs_state_check
    CHECK (state IN ('pending', 'dispatched', 'joined', 'finished', 'lost', 'no_show'));
CREATE INDEX agent_runs_session ON agent_runs (tenant_id, session_id, id);

CREATE TABLE participants (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    sid text NOT NULL,
    identity text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    joined_at timestamptz,
    left_at timestamptz,
    disconnect_reason text,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT participants_sid_key UNIQUE (tenant_id, session_id, sid),
    CONSTRAINT participants_session_fkey FOREIGN KEY (tenant_id, session_id) REFERENCES sessions ON DELETE CASCADE
);

-- Append only, and it outlives what it speaks of.
CREATE TABLE audit_events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    action text NOT NULL,
    resource_kind text NOT NULL,
    resource_id text NOT NULL,
    before jsonb,
    after jsonb,
    changed text[] NOT NULL,
    request_id text NOT NULL,
    address text,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_events_resource ON audit_events (tenant_id, resource_kind, resource_id, id);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'agents', 'artifacts', 'artifact_versions', 'bindings', 'activations', 'configurations',
        'sessions', 'agent_runs', 'participants', 'audit_events'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant ON %I
             USING (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)
             WITH CHECK (tenant_id = nullif(current_setting(''app.tenant_id'', true), '''')::uuid)',
            name
        );
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    api_keys, webhook_events, jobs,
    agents, artifacts, artifact_versions, bindings, sessions, agent_runs, participants
    TO patchbay_app;
GRANT SELECT, INSERT, UPDATE ON tenants TO patchbay_app;
GRANT SELECT, INSERT ON rooms, activations, configurations, audit_events TO patchbay_app;
GRANT SELECT ON __diesel_schema_migrations TO patchbay_app;
