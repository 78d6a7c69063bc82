ALTER TABLE sip_objects DROP COLUMN revision;
