-- LiveKit drops a dispatch that no worker takes, so a run may be dispatched several times.
ALTER TABLE agent_runs ADD COLUMN dispatches integer NOT NULL DEFAULT 0;
ALTER TABLE agent_runs ADD COLUMN last_dispatched_at timestamptz;
ALTER TABLE agent_runs ADD COLUMN taken_at timestamptz;
-- Why the run ended without its session.
ALTER TABLE agent_runs ADD COLUMN error_detail text;
