-- A sealed value may belong to a resource, such as the password of a trunk: then no tool may name it.
ALTER TABLE secrets ADD COLUMN owner_id uuid;

-- A tenant's accounts with carriers.
CREATE TABLE sip_trunks (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    name text NOT NULL,
    -- Host and port of the carrier.
    address text NOT NULL,
    transport text NOT NULL CONSTRAINT sip_trunks_transport CHECK (transport IN ('auto', 'udp', 'tcp', 'tls')),
    -- What calls may show as their origin, in E.164; the first by default.
    numbers text[] NOT NULL,
    username text,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT sip_trunks_name_key UNIQUE (tenant_id, name)
);
ALTER TABLE sip_trunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE sip_trunks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sip_trunks
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON sip_trunks TO patchbay_app;

-- What LiveKit has, or is to have, of each trunk and mapping. A lookup table: LiveKit names its objects by ids of its
-- own, and what it has too many or too few is looked for across tenants. A row outlives its resource until LiveKit has
-- forgotten it too.
CREATE TABLE sip_objects (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT sip_objects_kind CHECK (kind IN ('trunk', 'mapping')),
    -- LiveKit's ids.
    trunk_sid text,
    rule_sid text,
    sync_state text NOT NULL CONSTRAINT sip_objects_sync_state CHECK (sync_state IN ('pending', 'synced', 'failed')),
    error text,
    attempts integer NOT NULL,
    synced_at timestamptz
);
CREATE UNIQUE INDEX sip_objects_rule ON sip_objects (rule_sid);
GRANT SELECT, INSERT, UPDATE, DELETE ON sip_objects TO patchbay_app;

-- Calls. They outlive their session's erasure, without numbers.
CREATE TABLE calls (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    direction text NOT NULL CONSTRAINT calls_direction CHECK (direction IN ('outbound', 'inbound')),
    -- Whether the session was made for this call and ends with it.
    is_primary boolean NOT NULL,
    state text NOT NULL CONSTRAINT calls_state
        CHECK (state IN ('created', 'dialing', 'ringing', 'answered', 'ended', 'failed', 'canceled')),
    reason text,
    hangup_by text,
    sip_status integer,
    detail text,
    from_number text,
    to_number text,
    trunk_id uuid,
    mapping_id uuid,
    identity text NOT NULL,
    sip_call_id text,
    ring_timeout_seconds integer NOT NULL,
    max_duration_seconds integer NOT NULL,
    answer_detection text NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    dialing_at timestamptz,
    -- When LiveKit was asked, once, and until when a process waits for its answer.
    sent_at timestamptz,
    awaited_until timestamptz,
    ringing_at timestamptz,
    answered_at timestamptz,
    ended_at timestamptz,
    -- LiveKit's word for the leaving of the telephone, and since when it is out of sight.
    left_reason text,
    missing_since timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX calls_session ON calls (tenant_id, session_id);
CREATE INDEX calls_dialing ON calls (tenant_id, dialing_at);
CREATE INDEX calls_live ON calls (tenant_id, state) WHERE state IN ('dialing', 'ringing', 'answered');
ALTER TABLE calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE calls FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calls
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE ON calls TO patchbay_app;
