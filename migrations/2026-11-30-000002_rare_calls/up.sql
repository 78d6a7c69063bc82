-- Filters that may select few of many calls.
CREATE INDEX calls_state ON calls (tenant_id, state, id);
CREATE INDEX calls_direction ON calls (tenant_id, direction, id);
