-- Values that tools may send to named hosts, sealed by the application.
CREATE TABLE secrets (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    name text NOT NULL,
    -- Where the value may go.
    hosts text[] NOT NULL,
    -- Which key of the application's key ring it is sealed with.
    sealing_key text NOT NULL,
    nonce bytea NOT NULL,
    sealed bytea NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT secrets_name_key UNIQUE (tenant_id, name)
);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON secrets
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON secrets TO patchbay_app;
