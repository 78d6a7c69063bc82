-- Filters that select few of many rows.
CREATE INDEX audit_events_action ON audit_events (tenant_id, action, id);
CREATE INDEX audit_events_actor ON audit_events (tenant_id, actor_id, id);
CREATE INDEX calls_from ON calls (tenant_id, from_number, id) WHERE from_number IS NOT NULL;
CREATE INDEX calls_to ON calls (tenant_id, to_number, id) WHERE to_number IS NOT NULL;
CREATE INDEX calls_reason ON calls (tenant_id, reason, id) WHERE reason IS NOT NULL;
CREATE INDEX sessions_end_reason ON sessions (tenant_id, end_reason, id) WHERE end_reason IS NOT NULL;
