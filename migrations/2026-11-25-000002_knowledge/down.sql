ALTER TABLE bindings DROP COLUMN knowledge;
DROP TABLE knowledge_usage;
DROP TABLE agent_files;
DROP TABLE chunks;
DROP TABLE ingests;
DROP TABLE files;
DROP TABLE objects;
