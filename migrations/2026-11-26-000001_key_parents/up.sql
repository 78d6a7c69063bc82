-- The key that made a key: a plain id, looked at with every request. Null for keys that the operator
-- made, and for those from before this was recorded.
ALTER TABLE api_keys ADD COLUMN parent_key_id uuid;
CREATE INDEX api_keys_parent ON api_keys (tenant_id, parent_key_id) WHERE parent_key_id IS NOT NULL;
