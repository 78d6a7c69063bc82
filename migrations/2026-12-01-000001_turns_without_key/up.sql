-- Who is next is a matter of jobs, which are not distributed with what belongs to tenants; no tenant is ever deleted.
ALTER TABLE ingest_turns DROP CONSTRAINT ingest_turns_tenant_id_fkey;
