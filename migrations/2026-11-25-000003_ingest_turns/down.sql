DROP TABLE ingest_turns;
