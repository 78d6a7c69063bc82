-- When an ingest of a tenant was last begun: whoever has waited longest for a turn is next.
CREATE TABLE ingest_turns (
    tenant_id uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON ingest_turns TO patchbay_app;
