DROP INDEX sessions_time;
CREATE INDEX sessions_time ON sessions (tenant_id, created_at) INCLUDE (starting_at, running_at);
