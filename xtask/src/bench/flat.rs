//! Lists of a tenant with millions of rows: no page, and no filter of the document, may cost more because of what lies
//! beside its answer.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::subject::Bench;
use crate::seed::{self, text};

const AUDIT_EVENTS: u32 = 5_000_000;
const SESSIONS: u32 = 1_000_000;
/// One row in so many has what the filter wants.
const RARE: u32 = 100_000;
const WARM_UP: Duration = Duration::from_millis(300);
const DURATION: Duration = Duration::from_secs(2);
/// One day, nine months after the first row.
const DAY: &str = "from=2026-10-01T00:00:00Z&to=2026-10-02T00:00:00Z";
/// An id in the middle of the year.
const CURSOR: &str = "019f1af9-b400-7000-8000-000000000000";

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let seeded = seed::seed(&bench.running.base, &bench.running.operator_key, "flat")?;
    let bench = Bench {
        seeded: &seeded,
        ..*bench
    };
    fill(&bench)?;
    for (list, filters) in [
        (
            "audit-events",
            &[
                "action=agent.deleted",
                "actor_id=rare",
                "resource_kind=tenant",
                "resource_id=rare",
            ][..],
        ),
        (
            "sessions",
            &[
                "state=failed",
                "end_reason=rare",
                "agent_id=019b7604-0000-7000-8000-00000000000a",
                "binding_id=019b7604-0000-7000-8000-00000000000a",
                "metadata_key=ticket&metadata_value=rare",
                "user_id=019b7604-0000-7000-8000-00000000000a",
            ][..],
        ),
        (
            "calls",
            &[
                "state=canceled",
                "end_reason=rare",
                "agent_id=019b7604-0000-7000-8000-00000000000a",
                "number=%2B4930999999",
                "direction=inbound",
            ][..],
        ),
    ] {
        let deep = format!("cursor={CURSOR}");
        for query in ["", &deep, DAY].iter().chain(filters) {
            let request = bench.request(&format!("{list}?limit=50&{query}"), None);
            request.load(1, WARM_UP)?;
            bench.load(&format!("flat {list} {query}"), &request, (1, DURATION))?;
        }
    }
    println!(
        "\nlists of a tenant with {AUDIT_EVENTS} audit events, {SESSIONS} sessions and as many calls:"
    );
    bench.report.print("flat ");
    Ok(())
}

/// Copies one row of each table over a year. `rare` is what one row in 100,000 has.
fn fill(bench: &Bench<'_>) -> Result<()> {
    let tenant = &bench.seeded.tenant;
    let body = json!({ "agent_id": bench.seeded.agent, "variables": { "company": "Acme" } });
    let sessions = format!("/api/tenants/{tenant}/sessions");
    let session = bench.client().post(&sessions, &body)?;
    let session = text(&session, "/id")?;
    let ended = "'state', CASE WHEN rare THEN 'failed' ELSE 'ended' END, 'ended_at', at + interval '5 minutes', 'room_deleted_at', at";
    let rare_id = "CASE WHEN rare THEN '019b7604-0000-7000-8000-00000000000a'::uuid ELSE";
    let audit = copies(
        ("audit_events", AUDIT_EVENTS),
        &format!("tenant_id = '{tenant}' AND action = 'session.created'"),
        "'at', at, 'action', CASE WHEN rare THEN 'agent.deleted' ELSE 'agent.updated' END,
         'actor_id', CASE WHEN rare THEN 'rare' ELSE (one).actor_id END,
         'resource_kind', CASE WHEN rare THEN 'tenant' ELSE 'agent' END,
         'resource_id', CASE WHEN rare THEN 'rare' ELSE n::text END",
    );
    let sessions = copies(
        ("sessions", SESSIONS),
        &format!("tenant_id = '{tenant}' AND id = '{session}'"),
        &format!(
            "'created_at', at, {ended}, 'end_reason', CASE WHEN rare THEN 'rare' ELSE 'room_closed' END,
             'agent_id', {rare_id} (one).agent_id END, 'binding_id', {rare_id} (one).binding_id END,
             'metadata', CASE WHEN rare THEN '{{\"ticket\": \"rare\"}}'::jsonb ELSE '{{\"ticket\": \"A-17\"}}' END"
        ),
    );
    let call = format!(
        "INSERT INTO calls (tenant_id, id, session_id, agent_id, direction, is_primary, state, reason, identity,
             ring_timeout_seconds, max_duration_seconds, answer_detection, revision, created_at, ended_at)
         VALUES ('{tenant}', gen_random_uuid(), '{session}', '{}', 'outbound', true, 'ended', 'callee_hangup', 'x', 45, 600,
             'off', 5, now(), now())",
        bench.seeded.agent
    );
    let calls = copies(
        ("calls", SESSIONS),
        &format!("tenant_id = '{tenant}'"),
        &format!(
            "'created_at', at, 'ended_at', at + interval '5 minutes', 'answered_at', at + interval '5 seconds', 'session_id', gen_random_uuid(),
             'state', CASE WHEN rare THEN 'canceled' ELSE 'ended' END,
             'reason', CASE WHEN rare THEN 'rare' ELSE 'callee_hangup' END,
             'direction', CASE WHEN rare THEN 'inbound' ELSE 'outbound' END,
             'to_number', CASE WHEN rare THEN '+4930999999' ELSE '+4930' || (1000000 + n % 100000) END,
             'agent_id', {rare_id} (one).agent_id END"
        ),
    );
    let url = &bench.running.stack.database_owner_url;
    let set = format!("SET app.tenant_id = '{tenant}'");
    let script = [&*set, ID_AT, &audit, &sessions, &call, &calls].join(";\n");
    bench.tools.psql(url, &script).context("the rows")?;
    for table in ["audit_events", "sessions", "calls"] {
        bench.tools.psql(url, &format!("VACUUM ANALYZE {table}"))?;
    }
    Ok(())
}

/// A UUIDv7 of a time.
const ID_AT: &str = "CREATE FUNCTION pg_temp.id_at(at timestamptz) RETURNS uuid LANGUAGE sql AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
            || '8' || substr(md5(random()::text), 1, 15))::uuid $$";

/// The statement that copies one row many times, over a year, with these columns changed.
fn copies((table, count): (&str, u32), of: &str, columns: &str) -> String {
    format!(
        "INSERT INTO {table} SELECT copy.*
         FROM (SELECT whole FROM {table} AS whole WHERE {of} LIMIT 1) AS original (one),
              (SELECT n, n % {RARE} = 0 AS rare, '2026-01-01T00:00:00Z'::timestamptz + interval '300 days' * n / {count} AS at
               FROM generate_series(1, {count}) AS n) AS made,
              LATERAL jsonb_populate_record(one, jsonb_build_object('id', pg_temp.id_at(at), {columns})) AS copy"
    )
}
