DROP FUNCTION erase_old_calls, erase_old_audit_events;
