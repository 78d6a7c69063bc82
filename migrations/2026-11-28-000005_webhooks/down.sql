DROP INDEX webhook_events_by_room;
ALTER TABLE webhook_events DROP COLUMN attempts;
ALTER TABLE webhook_events DROP COLUMN claimed_until;
ALTER TABLE webhook_events DROP COLUMN room;
