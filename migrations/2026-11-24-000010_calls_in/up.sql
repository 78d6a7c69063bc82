-- What happens to calls to a number.
CREATE TABLE inbound_mappings (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    number text NOT NULL,
    agent_id uuid NOT NULL,
    -- Who answers outside the opening hours; nobody where it is null.
    closed_agent_id uuid,
    -- The LiveKit agent name that the rule dispatches to, which both agents share.
    worker_name text NOT NULL,
    variables jsonb NOT NULL,
    allowed_addresses text[] NOT NULL,
    username text,
    enabled boolean NOT NULL,
    hours jsonb,
    headers text[] NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT inbound_mappings_number_key UNIQUE (tenant_id, number),
    CONSTRAINT inbound_mappings_agent_fkey FOREIGN KEY (tenant_id, agent_id) REFERENCES agents,
    CONSTRAINT inbound_mappings_closed_agent_fkey FOREIGN KEY (tenant_id, closed_agent_id) REFERENCES agents
);
CREATE INDEX inbound_mappings_agent ON inbound_mappings (tenant_id, agent_id);
CREATE INDEX inbound_mappings_closed_agent ON inbound_mappings (tenant_id, closed_agent_id);
ALTER TABLE inbound_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbound_mappings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON inbound_mappings
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON inbound_mappings TO patchbay_app;
-- A number is held by a row lock while a mapping of it is made, and PostgreSQL asks for this grant then.
GRANT UPDATE ON phone_numbers TO patchbay_app;
