-- What happened in a session, in order. Erased with it.
CREATE TABLE session_events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    facts jsonb NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT session_events_session_fkey FOREIGN KEY (tenant_id, session_id) REFERENCES sessions ON DELETE CASCADE
);
CREATE INDEX session_events_session ON session_events (tenant_id, session_id, id);

ALTER TABLE session_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON session_events
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
-- Deleting happens by the cascade from sessions, which needs the grant.
GRANT SELECT, INSERT, DELETE ON session_events TO patchbay_app;
