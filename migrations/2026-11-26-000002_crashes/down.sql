ALTER TABLE webhook_events DROP COLUMN crashes;
ALTER TABLE jobs DROP COLUMN crashes;
