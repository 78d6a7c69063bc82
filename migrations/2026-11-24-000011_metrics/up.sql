-- What metrics count, by time. The columns that are included make the counting an index-only scan.
CREATE INDEX calls_time ON calls (tenant_id, created_at)
    INCLUDE (direction, state, reason, agent_id, dialing_at, ringing_at, answered_at, ended_at);
CREATE INDEX sessions_time ON sessions (tenant_id, created_at) INCLUDE (starting_at, running_at);
CREATE INDEX usage_records_time ON usage_records (tenant_id, created_at);
CREATE INDEX session_events_tool_calls ON session_events (tenant_id, at) WHERE kind = 'tool_call.finished';
