-- Blanking what was kept of people before it was known to be personal. Row-level security is forced on the owner too,
-- so it visits each tenant; nothing is locked for longer than a row's change.

-- Events that an earlier version has applied; the service blanks them. None, as a rule.
CREATE INDEX webhook_events_whole ON webhook_events (received_at) WHERE applied_at IS NOT NULL AND payload ? 'room';

-- Erasing a session forgets what the worker called its reports.
GRANT UPDATE (batch_id) ON usage_records TO patchbay_app;

DO $$
DECLARE
    tenant uuid;
    -- Reasons that are this service's own; a stop may give one in anybody's words.
    own text[] := '{completed,caller_hangup,callee_hangup,agent_hangup,canceled,busy,declined,no_answer,invalid_number,trunk_auth,trunk_failure,transferred,livekit_unavailable,abandoned,stopped,max_duration,agent_error,no_worker,agent_lost}';
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
        UPDATE audit_events
        SET before = before - '{from,to,detail,sip_call_id}'::text[],
            after = after - '{from,to,detail,sip_call_id}'::text[]
        WHERE tenant_id = tenant AND resource_kind = 'call'
          AND (before ?| '{from,to,detail,sip_call_id}' OR after ?| '{from,to,detail,sip_call_id}');
        UPDATE audit_events
        SET before = CASE WHEN before->>'end_reason' <> ALL (own) THEN before - 'end_reason' ELSE before END,
            after = CASE WHEN after->>'end_reason' <> ALL (own) THEN after - 'end_reason' ELSE after END
        WHERE tenant_id = tenant AND (before->>'end_reason' <> ALL (own) OR after->>'end_reason' <> ALL (own));
        UPDATE audit_events
        SET before = CASE WHEN before->>'reason' <> ALL (own) THEN before - 'reason' ELSE before END,
            after = CASE WHEN after->>'reason' <> ALL (own) THEN after - 'reason' ELSE after END
        WHERE tenant_id = tenant AND (before->>'reason' <> ALL (own) OR after->>'reason' <> ALL (own));
        -- What is left of sessions that are erased: nobody can erase them once more.
        UPDATE calls SET reason = 'stopped'
        WHERE tenant_id = tenant AND reason <> ALL (own)
          AND NOT EXISTS (SELECT FROM sessions s WHERE s.tenant_id = tenant AND s.id = calls.session_id);
        UPDATE usage_records SET batch_id = id::text
        WHERE tenant_id = tenant AND batch_id <> id::text
          AND NOT EXISTS (SELECT FROM sessions s WHERE s.tenant_id = tenant AND s.id = usage_records.session_id);
        -- Paths that hold an id in another spelling than ours: erasing what they speak of does not find them.
        UPDATE idempotency_keys
        SET body = NULL, key = 'sha256 ' || encode(sha256(replace(key, '\', '\\')::bytea), 'hex')
        WHERE NOT starts_with(key, 'sha256 ') AND tenant_id = tenant AND (path ~ '[%{}:]|/[0-9A-Fa-f]{32}(/|$)' OR path ~ '/[0-9A-Fa-f-]{36}' AND path ~ '/[0-9a-f-]*[A-F][0-9A-Fa-f-]*(/|$)');
    END LOOP;
    PERFORM set_config('app.tenant_id', '', true);
END $$;
