DROP INDEX api_keys_parent;
ALTER TABLE api_keys DROP COLUMN parent_key_id;
