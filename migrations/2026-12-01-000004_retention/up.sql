-- Calls and audit events are never deleted by the application, but for those that are past the time for which they are kept.
-- Only rows of the transaction's tenant can be. A day is 23 hours at the least, by the clocks of two machines.

CREATE FUNCTION erase_old_calls(of_tenant uuid, older_than timestamptz, below uuid, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    erased bigint;
BEGIN
    IF of_tenant::text IS DISTINCT FROM current_setting('app.tenant_id', true) THEN
        RAISE EXCEPTION 'this is another tenant';
    ELSIF older_than > now() - interval '23 hours' THEN
        RAISE EXCEPTION 'calls of the last day are kept';
    END IF;
    DELETE FROM calls WHERE tenant_id = of_tenant AND id IN (
        SELECT c.id FROM calls c WHERE c.tenant_id = of_tenant AND c.id < below AND c.ended_at < older_than ORDER BY c.id LIMIT most);
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END $$;

CREATE FUNCTION erase_old_audit_events(of_tenant uuid, older_than timestamptz, below uuid, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    erased bigint;
BEGIN
    IF of_tenant::text IS DISTINCT FROM current_setting('app.tenant_id', true) THEN
        RAISE EXCEPTION 'this is another tenant';
    ELSIF older_than > now() - interval '23 hours' THEN
        RAISE EXCEPTION 'audit events of the last day are kept';
    END IF;
    DELETE FROM audit_events WHERE tenant_id = of_tenant AND id IN (
        SELECT a.id FROM audit_events a WHERE a.tenant_id = of_tenant AND a.id < below AND a.at < older_than ORDER BY a.id LIMIT most);
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END $$;

-- Temporary tables come last: whoever calls a function must not put one in the place of ours.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION erase_old_calls SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION erase_old_audit_events SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION erase_old_calls, erase_old_audit_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_old_calls, erase_old_audit_events TO patchbay_app;
