ALTER TABLE ingest_turns ADD CONSTRAINT ingest_turns_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE;
