-- The bytes of files. The key in the store is made of tenant and id; the same bytes are stored once in a tenant.
CREATE TABLE objects (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    -- uploading: bytes are under way. stored: files refer to it. doomed: to be deleted from the store.
    state text NOT NULL,
    -- The store's id of an upload in parts, so that what was abandoned can be cleaned.
    upload_id text,
    sha256 bytea,
    size bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT objects_state_check CHECK (state IN ('uploading', 'stored', 'doomed'))
);
CREATE UNIQUE INDEX objects_content ON objects (tenant_id, sha256) WHERE state = 'stored';

CREATE TABLE files (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    object_id uuid NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    metadata jsonb NOT NULL,
    -- Counts ingests.
    last_generation integer NOT NULL,
    -- The ingest whose chunks searches see.
    searchable_generation integer,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT files_object_fkey FOREIGN KEY (tenant_id, object_id) REFERENCES objects
);
CREATE INDEX files_object ON files (tenant_id, object_id);

-- One try to make a file searchable.
CREATE TABLE ingests (
    tenant_id uuid NOT NULL,
    file_id uuid NOT NULL,
    generation integer NOT NULL,
    state text NOT NULL,
    -- The stage that it is in, or failed in.
    stage text,
    -- Times and progress of each stage.
    stages jsonb NOT NULL,
    -- Digest of all that chunks depend on besides the bytes: where it is equal, they can be copied.
    settings text NOT NULL,
    model text NOT NULL,
    pages integer,
    chunks integer,
    error_code text,
    error text,
    attempts integer NOT NULL,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, file_id, generation),
    CONSTRAINT ingests_file_fkey FOREIGN KEY (tenant_id, file_id) REFERENCES files ON DELETE CASCADE,
    CONSTRAINT ingests_state_check CHECK (state IN ('pending', 'running', 'done', 'failed')),
    CONSTRAINT ingests_stage_check CHECK (stage IN ('extract', 'chunk', 'embed', 'index'))
);

-- What searches see. No row-level security: under it the planner may not use the index on words. It is reached
-- through functions that take a tenant, and its words carry the tenant too.
CREATE TABLE chunks (
    tenant_id uuid NOT NULL,
    file_id uuid NOT NULL,
    generation integer NOT NULL,
    ordinal integer NOT NULL,
    page integer,
    headings text[] NOT NULL,
    -- Where it stands in the text of the file, in characters.
    starts_at integer NOT NULL,
    ends_at integer NOT NULL,
    tokens integer NOT NULL,
    model text NOT NULL,
    embedding halfvec NOT NULL,
    words tsvector NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (tenant_id, file_id, generation, ordinal),
    CONSTRAINT chunks_file_fkey FOREIGN KEY (tenant_id, file_id) REFERENCES files ON DELETE CASCADE
);
-- Embeddings are read by every exact search, texts for its hits alone.
ALTER TABLE chunks ALTER COLUMN embedding SET STORAGE PLAIN;
ALTER TABLE chunks SET (toast_tuple_target = 1200);
CREATE INDEX chunks_words ON chunks USING gin (words);

CREATE TABLE agent_files (
    tenant_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    file_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, agent_id, file_id),
    CONSTRAINT agent_files_agent_fkey FOREIGN KEY (tenant_id, agent_id) REFERENCES agents ON DELETE CASCADE,
    CONSTRAINT agent_files_file_fkey FOREIGN KEY (tenant_id, file_id) REFERENCES files ON DELETE CASCADE
);
CREATE INDEX agent_files_file ON agent_files (tenant_id, file_id);

-- Searches, counted in quarters of an hour: the times of day of every zone begin with one.
CREATE TABLE knowledge_usage (
    tenant_id uuid NOT NULL REFERENCES tenants,
    at timestamptz NOT NULL,
    searches bigint NOT NULL,
    embedding_seconds double precision NOT NULL,
    PRIMARY KEY (tenant_id, at)
);
CREATE INDEX files_time ON files (tenant_id, created_at) INCLUDE (size);
CREATE INDEX ingests_time ON ingests (tenant_id, finished_at) INCLUDE (state, chunks);

-- How an agent uses what it knows; pinned with the rest.
ALTER TABLE bindings ADD COLUMN knowledge jsonb;

ALTER TABLE objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE objects FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON objects
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE knowledge_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE knowledge_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON knowledge_usage
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE files ENABLE ROW LEVEL SECURITY;
ALTER TABLE files FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON files
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE ingests ENABLE ROW LEVEL SECURITY;
ALTER TABLE ingests FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ingests
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE agent_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE agent_files FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON agent_files
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON objects, files, ingests, chunks, agent_files TO patchbay_app;
GRANT SELECT, INSERT, UPDATE ON knowledge_usage TO patchbay_app;
