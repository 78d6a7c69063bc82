-- The calls that use a trunk, however many have ended.
CREATE INDEX calls_trunk_in_use ON calls (tenant_id, trunk_id, id) WHERE ended_at IS NULL;
