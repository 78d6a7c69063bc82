-- Blanking what was kept of people before it was known to be personal. Row-level security is forced on the owner too,
-- so it visits each tenant; nothing is locked for longer than a row's change.

-- Events that an earlier version has applied; the service blanks them. None, as a rule.
CREATE INDEX webhook_events_whole ON webhook_events (received_at) WHERE applied_at IS NOT NULL AND payload ? 'room';

-- Erasing a session forgets what the worker called its reports.
GRANT UPDATE (batch_id) ON usage_records TO patchbay_app;

DO $$
DECLARE tenant uuid;
BEGIN
    FOR tenant IN SELECT id FROM tenants LOOP
        PERFORM set_config('app.tenant_id', tenant::text, true);
        UPDATE audit_events
        SET before = before - '{role,external_id}'::text[], after = after - '{role,external_id}'::text[]
        WHERE tenant_id = tenant AND resource_kind = 'user'
          AND (before ?| '{role,external_id}' OR after ?| '{role,external_id}');
        UPDATE audit_events
        SET before = before - '{identity,error_detail,last_error}'::text[],
            after = after - '{identity,error_detail,last_error}'::text[]
        WHERE tenant_id = tenant AND resource_kind = 'session'
          AND (before ?| '{identity,error_detail,last_error}' OR after ?| '{identity,error_detail,last_error}');
        UPDATE audit_events
        SET before = before - '{name,ingest}'::text[], after = after - '{name,ingest}'::text[]
        WHERE tenant_id = tenant AND resource_kind = 'file'
          AND (before ?| '{name,ingest}' OR after ?| '{name,ingest}');
        -- Paths that hold an id in another spelling than ours: erasing what they speak of does not find them.
        UPDATE idempotency_keys SET body = NULL
        WHERE tenant_id = tenant AND (path ~ '[%{}:]|/[0-9A-Fa-f]{32}(/|$)' OR path ~ '/[0-9A-Fa-f-]{36}' AND path ~ '/[0-9a-f-]*[A-F][0-9A-Fa-f-]*(/|$)');
    END LOOP;
    PERFORM set_config('app.tenant_id', '', true);
END $$;
