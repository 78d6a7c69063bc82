DROP INDEX calls_trunk_in_use;
