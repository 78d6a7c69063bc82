-- Calls are found by their agent and their line.
CREATE INDEX calls_agent ON calls (tenant_id, agent_id, id);
CREATE INDEX calls_trunk ON calls (tenant_id, trunk_id, id) WHERE trunk_id IS NOT NULL;
CREATE INDEX calls_mapping ON calls (tenant_id, mapping_id, id) WHERE mapping_id IS NOT NULL;
