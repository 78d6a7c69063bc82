DROP TABLE binding_tools;
DELETE FROM artifacts WHERE kind = 'tool';
ALTER TABLE artifacts DROP CONSTRAINT artifacts_kind_check;
ALTER TABLE artifacts ADD CONSTRAINT artifacts_kind_check CHECK (kind IN ('prompt', 'runtime_config'));
