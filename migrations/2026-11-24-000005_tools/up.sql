-- Tools are artifacts like prompts; bindings pin any number of their versions.
ALTER TABLE artifacts DROP CONSTRAINT artifacts_kind_check;
ALTER TABLE artifacts ADD CONSTRAINT artifacts_kind_check CHECK (kind IN ('prompt', 'runtime_config', 'tool'));

CREATE TABLE binding_tools (
    tenant_id uuid NOT NULL,
    binding_id uuid NOT NULL,
    tool_version_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, binding_id, tool_version_id),
    CONSTRAINT binding_tools_binding_fkey FOREIGN KEY (tenant_id, binding_id) REFERENCES bindings ON DELETE CASCADE,
    CONSTRAINT binding_tools_version_fkey FOREIGN KEY (tenant_id, tool_version_id) REFERENCES artifact_versions
);
CREATE INDEX binding_tools_version ON binding_tools (tenant_id, tool_version_id);

ALTER TABLE binding_tools ENABLE ROW LEVEL SECURITY;
ALTER TABLE binding_tools FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON binding_tools
    USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
-- Deleting happens by the cascade from bindings, which needs the grant.
GRANT SELECT, INSERT, DELETE ON binding_tools TO patchbay_app;
