ALTER TABLE agent_runs DROP COLUMN error_detail;
ALTER TABLE agent_runs DROP COLUMN taken_at;
ALTER TABLE agent_runs DROP COLUMN last_dispatched_at;
ALTER TABLE agent_runs DROP COLUMN dispatches;
