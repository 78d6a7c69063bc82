-- Worker processes that have registered. They serve all tenants, so the table has none.
CREATE TABLE workers (
    id text PRIMARY KEY,
    -- Of the registration: sorts by time.
    row_id uuid NOT NULL UNIQUE,
    worker_name text NOT NULL,
    version text NOT NULL,
    kinds text[] NOT NULL,
    plugins jsonb NOT NULL,
    capacity integer NOT NULL,
    running integer NOT NULL,
    is_draining boolean NOT NULL,
    registered_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    ended_at timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON workers TO patchbay_app;
