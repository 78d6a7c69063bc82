-- Events are claimed by room: processes share the work, and no two of them work on one room. The column holds the digest
-- of the room's name, which may contain a caller's number.
ALTER TABLE webhook_events ADD COLUMN room text NOT NULL DEFAULT '';
ALTER TABLE webhook_events ADD COLUMN claimed_until timestamptz;
ALTER TABLE webhook_events ADD COLUMN attempts integer NOT NULL DEFAULT 0;
CREATE INDEX webhook_events_by_room ON webhook_events (room, next_try_at, id) WHERE applied_at IS NULL;
