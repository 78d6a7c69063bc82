-- How often in a row the work ended without a word: it panicked, or took the process with it.
ALTER TABLE jobs ADD COLUMN crashes integer NOT NULL DEFAULT 0;
ALTER TABLE webhook_events ADD COLUMN crashes integer NOT NULL DEFAULT 0;
