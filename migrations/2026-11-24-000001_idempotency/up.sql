-- What a request with an Idempotency-Key was answered, for as long as it may be repeated.
CREATE TABLE idempotency_keys (
    -- The tenant of the path; the nil UUID where the path has none.
    tenant_id uuid NOT NULL,
    caller text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    -- SHA-256 of path and body.
    fingerprint bytea NOT NULL,
    path text NOT NULL,
    -- Null while the outcome is not known.
    status smallint,
    location text,
    etag text,
    -- Null once what it tells has been erased.
    body text,
    -- Until then a better answer may follow; null when this is the last word.
    settles_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, caller, operation, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (tenant_id, created_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO patchbay_app;
CREATE INDEX webhook_events_received_at ON webhook_events (received_at) WHERE applied_at IS NOT NULL;
