DROP INDEX agent_runs_agent;
ALTER TABLE agent_runs DROP COLUMN rendered_greeting;
ALTER TABLE agent_runs DROP COLUMN rendered_prompt;
ALTER TABLE agent_runs DROP COLUMN worker_name;
ALTER TABLE agent_runs DROP COLUMN agent_id;
ALTER TABLE participants DROP COLUMN invited_at;
DELETE FROM participants WHERE sid IS NULL;
ALTER TABLE participants ALTER COLUMN sid SET NOT NULL;
