-- Counts the changes of a trunk or mapping, so that a sync does not declare a later change synced.
ALTER TABLE sip_objects ADD COLUMN revision bigint NOT NULL DEFAULT 1;
