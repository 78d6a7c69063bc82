-- Somebody may be expected before LiveKit has an id for the stay.
ALTER TABLE participants ALTER COLUMN sid DROP NOT NULL;
ALTER TABLE participants ADD COLUMN invited_at timestamptz;

-- A further agent has a definition, a worker and a prompt of its own; null means the session's.
ALTER TABLE agent_runs ADD COLUMN agent_id uuid;
ALTER TABLE agent_runs ADD COLUMN worker_name text;
ALTER TABLE agent_runs ADD COLUMN rendered_prompt text;
ALTER TABLE agent_runs ADD COLUMN rendered_greeting text;
CREATE INDEX agent_runs_agent ON agent_runs (tenant_id, agent_id);
