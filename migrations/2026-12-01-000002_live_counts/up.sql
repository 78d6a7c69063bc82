-- Live sessions (starting, running, stopping) and calls of all tenants by state, for metrics. Row-level security shows one tenant at a time, so it visits those
-- that have a session's job. The caller's transaction must end afterwards: it is left without a tenant.
CREATE FUNCTION live_counts() RETURNS TABLE (subject text, state text, direction text, number bigint)
LANGUAGE plpgsql AS $$
DECLARE
    tenant uuid;
BEGIN
    FOR tenant IN SELECT DISTINCT j.tenant_id FROM jobs j WHERE j.kind = 'session' LOOP
        EXECUTE format('SET LOCAL app.tenant_id = %L', tenant);
        RETURN QUERY
            SELECT 'session', s.state, '', count(*) FROM sessions s
            WHERE s.tenant_id = tenant AND s.state IN ('starting', 'running', 'stopping') GROUP BY s.state;
        RETURN QUERY
            SELECT 'call', c.state, c.direction, count(*) FROM calls c
            WHERE c.tenant_id = tenant AND c.state IN ('dialing', 'ringing', 'answered') GROUP BY c.state, c.direction;
    END LOOP;
    SET LOCAL app.tenant_id = '';
END $$;
