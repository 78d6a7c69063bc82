DROP INDEX calls_mapping;
DROP INDEX calls_trunk;
DROP INDEX calls_agent;
