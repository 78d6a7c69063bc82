ALTER TABLE sip_objects DROP COLUMN synced_name;
ALTER TABLE sip_objects DROP COLUMN revision;
