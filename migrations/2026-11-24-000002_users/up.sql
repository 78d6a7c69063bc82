CREATE TABLE users (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    email text NOT NULL,
    email_lower text NOT NULL,
    display_name text NOT NULL,
    role text,
    external_id text,
    metadata jsonb NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_email_key UNIQUE (tenant_id, email_lower),
    CONSTRAINT users_external_id_key UNIQUE (tenant_id, external_id)
);
CREATE INDEX users_role ON users (tenant_id, role, id);
-- What a person leaves in rooms is found by identity.
CREATE INDEX participants_identity ON participants (tenant_id, identity);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO patchbay_app;
