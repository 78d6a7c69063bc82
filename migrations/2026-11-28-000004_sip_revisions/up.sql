-- Counts the changes of a trunk or mapping, so that a sync does not declare a later change synced.
ALTER TABLE sip_objects ADD COLUMN revision bigint NOT NULL DEFAULT 1;
-- What the objects in LiveKit must be named: the sweep finds those that something else has overwritten.
ALTER TABLE sip_objects ADD COLUMN synced_name text;
