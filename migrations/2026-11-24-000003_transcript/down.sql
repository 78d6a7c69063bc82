DROP TABLE usage_records;
DROP TABLE transcript_turns;
