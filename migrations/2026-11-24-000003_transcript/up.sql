-- What was said. Erased with its session.
CREATE TABLE transcript_turns (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    -- The worker's own id of the turn: a batch that is sent again changes nothing.
    turn_id text NOT NULL,
    role text NOT NULL,
    text text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    interrupted boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT transcript_turns_turn_key UNIQUE (tenant_id, session_id, turn_id),
    CONSTRAINT transcript_turns_session_fkey FOREIGN KEY (tenant_id, session_id) REFERENCES sessions ON DELETE CASCADE
);
ALTER TABLE transcript_turns ADD CONSTRAINT transcript_turns_role_check CHECK (role IN ('user', 'agent', 'system'));
CREATE INDEX transcript_turns_session ON transcript_turns (tenant_id, session_id, id);

-- What providers were used for. History: it holds nothing personal and outlives its session.
CREATE TABLE usage_records (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    batch_id text NOT NULL,
    position integer NOT NULL,
    kind text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    audio_seconds double precision NOT NULL,
    characters bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT usage_records_batch_key UNIQUE (tenant_id, session_id, batch_id, position)
);
ALTER TABLE usage_records ADD CONSTRAINT usage_records_kind_check CHECK (kind IN ('llm', 'stt', 'tts'));

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['transcript_turns', 'usage_records'] LOOP
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
-- Deleting happens by the cascade from sessions, which needs the grant.
GRANT SELECT, INSERT, DELETE ON transcript_turns TO patchbay_app;
GRANT SELECT, INSERT ON usage_records TO patchbay_app;
