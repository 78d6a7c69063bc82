DROP INDEX webhook_events_received_at;
DROP TABLE idempotency_keys;
