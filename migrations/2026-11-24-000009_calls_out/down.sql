DROP TABLE calls;
DROP TABLE sip_objects;
DROP TABLE sip_trunks;
ALTER TABLE secrets DROP COLUMN owner_id;
