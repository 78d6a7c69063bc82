DROP INDEX calls_direction;
DROP INDEX calls_state;
