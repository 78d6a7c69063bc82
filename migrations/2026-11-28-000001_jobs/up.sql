-- What the API names a job by; a claim's token, which every write on behalf of the claim is checked against.
ALTER TABLE jobs ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE jobs ADD COLUMN claim uuid;
CREATE UNIQUE INDEX jobs_id ON jobs (id);
