-- Which tenant a telephone number belongs to. A lookup table: a call comes in before its tenant is known, and a number
-- has one owner in the whole installation.
CREATE TABLE phone_numbers (
    number text PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    tenant_id uuid NOT NULL REFERENCES tenants,
    assigned_at timestamptz NOT NULL
);
CREATE INDEX phone_numbers_tenant ON phone_numbers (tenant_id, id);
GRANT SELECT, INSERT, DELETE ON phone_numbers TO patchbay_app;
