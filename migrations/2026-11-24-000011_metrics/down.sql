DROP INDEX session_events_tool_calls;
DROP INDEX usage_records_time;
DROP INDEX sessions_time;
DROP INDEX calls_time;
