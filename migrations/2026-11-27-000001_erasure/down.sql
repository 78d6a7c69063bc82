REVOKE UPDATE (batch_id) ON usage_records FROM patchbay_app;
DROP INDEX webhook_events_whole;
