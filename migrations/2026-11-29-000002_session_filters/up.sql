-- Sessions are found by what they ran.
CREATE INDEX sessions_binding ON sessions (tenant_id, binding_id, id);
CREATE INDEX sessions_configuration ON sessions (tenant_id, configuration_digest, id);
