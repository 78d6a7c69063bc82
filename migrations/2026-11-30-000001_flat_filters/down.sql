DROP INDEX sessions_end_reason;
DROP INDEX calls_reason;
DROP INDEX calls_to;
DROP INDEX calls_from;
DROP INDEX audit_events_actor;
DROP INDEX audit_events_action;
