//! Metrics: the service's figures against those computed from random rows.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text, Timestamptz},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use serde_json::{Value, json};

use super::support::{Fixture, TestApp};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    direction: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    dialing_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ringing_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    answered_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
}

/// Three weeks around a clock change, at random.
async fn random_calls(app: &TestApp, fixture: &Fixture, count: u32) -> Vec<Row> {
    let mut connection = app.connect("DATABASE_URL").await;
    let tenant = &fixture.tenant;
    connection
        .batch_execute(&format!(
            "SELECT set_config('app.tenant_id', '{tenant}', false), setseed(0.4711);
             INSERT INTO calls (tenant_id, id, session_id, agent_id, direction, is_primary, state, reason, identity,
                 ring_timeout_seconds, max_duration_seconds, answer_detection, revision, created_at, dialing_at, ringing_at,
                 answered_at, ended_at)
             SELECT '{tenant}', gen_random_uuid(), gen_random_uuid(), '{agent}',
                    CASE WHEN r1 < 0.7 THEN 'outbound' ELSE 'inbound' END, true, state,
                    CASE state WHEN 'ended' THEN 'callee_hangup' WHEN 'canceled' THEN 'canceled'
                         WHEN 'failed' THEN CASE WHEN r2 < 0.5 THEN 'busy' ELSE 'no_answer' END END,
                    'x', 45, 600, 'off', 1, at, dialing,
                    CASE WHEN r2 < 0.9 THEN dialing + interval '1 second' * r1 END,
                    CASE WHEN state IN ('ended', 'answered') THEN dialing + interval '20 seconds' * r2 END,
                    CASE WHEN state IN ('ended', 'failed', 'canceled') THEN dialing + interval '20 seconds' + interval '9 minutes' * r3 END
             FROM (SELECT r1, r2, r3, at, at + interval '2 seconds' * r3 AS dialing,
                          (ARRAY['ended', 'ended', 'ended', 'failed', 'canceled', 'answered', 'dialing'])[1 + floor(r4 * 7)::int] AS state
                   FROM (SELECT random() AS r1, random() AS r2, random() AS r3, random() AS r4,
                                '2026-10-15T00:00:00Z'::timestamptz + interval '21 days' * random() AS at
                         FROM generate_series(1, {count})) AS dice) AS thrown",
            agent = fixture.agent,
        ))
        .await
        .unwrap();
    let rows = "SELECT direction, state, reason, created_at, dialing_at, ringing_at, answered_at, ended_at FROM calls";
    diesel::sql_query(rows).load(&mut connection).await.unwrap()
}

fn seconds(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<f64> {
    Some((to? - from?).as_seconds_f64())
}

/// The smallest value that at least this share of the values does not exceed.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn same(figure: &Value, expected: Option<f64>) -> bool {
    match (figure.as_f64(), expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 0.002,
        (found, expected) => found.is_none() && expected.is_none(),
    }
}

fn check_spread(figure: &Value, mut values: Vec<f64>, what: &str) {
    values.sort_by(f64::total_cmp);
    assert!(
        same(&figure["sum"], Some(values.iter().sum())),
        "{what}: sum of {figure}"
    );
    assert!(
        same(&figure["p50"], percentile(&values, 0.5)),
        "{what}: p50 of {figure}"
    );
    assert!(
        same(&figure["p95"], percentile(&values, 0.95)),
        "{what}: p95 of {figure}"
    );
}

fn check_calls(figures: &Value, rows: &[&Row]) {
    let answered = rows.iter().filter(|row| row.answered_at.is_some()).count();
    assert_eq!(figures["calls"], rows.len());
    assert_eq!(figures["answered"], answered);
    let spread = |of: fn(&Row) -> Option<f64>| rows.iter().filter_map(|row| of(row)).collect();
    let ring = spread(|row| seconds(row.ringing_at, row.answered_at.or(row.ended_at)));
    check_spread(&figures["ring_seconds"], ring, "ring");
    let setup = spread(|row| seconds(row.dialing_at, row.answered_at));
    check_spread(&figures["setup_seconds"], setup, "setup");
    let talk = spread(|row| seconds(row.answered_at, row.ended_at));
    check_spread(&figures["talk_seconds"], talk, "talk");
}

fn outcome(row: &Row) -> &str {
    match (&*row.state, row.answered_at) {
        (_, Some(_)) => "answered",
        ("failed" | "canceled", None) => &row.state,
        _ => "open",
    }
}

/// The maximum number of concurrent calls at the start of one of these.
fn peak(all: &[Row], within: impl Fn(DateTime<Utc>) -> bool) -> usize {
    let begun = all.iter().filter_map(|row| row.dialing_at);
    let busy = |at: DateTime<Utc>| {
        let live = |row: &&Row| {
            row.dialing_at.is_some_and(|from| from <= at) && row.ended_at.is_none_or(|to| to > at)
        };
        all.iter().filter(live).count()
    };
    begun.filter(|at| within(*at)).map(busy).max().unwrap_or(0)
}

async fn get(fixture: &Fixture, query: &str) -> Value {
    let path = fixture.at(&format!("metrics?{query}"));
    fixture.admin.get(&path).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_equal_a_count_by_hand() {
    let app = TestApp::start_with(&["--reconcile-interval=10m"]).await;
    let fixture = app.tenant("acme").await;
    let all = random_calls(&app, &fixture, 3000).await;
    let span = "from=2026-10-15T00:00:00Z&to=2026-11-05T00:00:00Z&time_zone=Europe/Berlin";
    let metrics = get(&fixture, &format!("{span}&group_by=reason")).await;
    let buckets = metrics["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 22, "the first day has begun before the span");
    let start = |index: usize| -> DateTime<Utc> {
        let start = buckets.get(index).map(|b| b["start"].as_str().unwrap());
        start.unwrap_or("2026-11-05T00:00:00Z").parse().unwrap()
    };
    for (index, bucket) in buckets.iter().enumerate() {
        let within = |at: DateTime<Utc>| at >= start(index) && at < start(index + 1);
        let rows: Vec<_> = all.iter().filter(|row| within(row.created_at)).collect();
        check_calls(&bucket["calls"], &rows);
        for (name, of) in [
            (
                "call_directions",
                (|row| Some(&*row.direction)) as fn(&Row) -> Option<&str>,
            ),
            ("call_outcomes", |row| Some(outcome(row))),
            ("call_reasons", |row| row.reason.as_deref()),
        ] {
            for (key, count) in bucket[name].as_object().unwrap() {
                let same = rows.iter().filter(|row| of(row) == Some(&**key)).count();
                assert_eq!(count, same, "{name} {key}");
            }
        }
        for group in bucket["call_groups"].as_array().unwrap() {
            let key = group["key"].as_str().unwrap();
            let of_key = |row: &&&Row| row.reason.as_deref().unwrap_or("") == key;
            let rows: Vec<_> = rows.iter().filter(of_key).copied().collect();
            assert!(!rows.is_empty());
            check_calls(&group["figures"], &rows);
        }
        assert_eq!(
            bucket["concurrent_calls_peak"],
            peak(&all, within),
            "bucket {index}"
        );
    }
}

#[derive(QueryableByName)]
struct SessionRow {
    #[diesel(sql_type = Text)]
    agent: String,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    starting_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    running_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
}

/// Copies of a session within a day, at random; a third of them with a call.
async fn random_sessions(app: &TestApp, fixture: &Fixture, count: u32) -> Vec<SessionRow> {
    fixture.session(false).await;
    let mut connection = app.connect("DATABASE_URL").await;
    let tenant = &fixture.tenant;
    connection
        .batch_execute(&format!(
            "SELECT set_config('app.tenant_id', '{tenant}', false), setseed(0.1147);
             INSERT INTO sessions (tenant_id, id, agent_id, binding_id, configuration_digest, worker_name, state, end_reason,
                 room_name, variables, metadata, rendered_prompt, max_duration_seconds, revision, created_at, starting_at,
                 running_at, ended_at)
             SELECT '{tenant}', gen_random_uuid(), agent, binding_id, configuration_digest, worker_name, thrown_state,
                    CASE thrown_state WHEN 'ended' THEN 'idle' WHEN 'failed' THEN 'no_worker' END, gen_random_uuid(),
                    variables, metadata, rendered_prompt, max_duration_seconds, 1, at, at,
                    CASE WHEN thrown_state <> 'failed' THEN at + interval '3 seconds' * r1 END,
                    CASE WHEN thrown_state <> 'running' THEN at + interval '5 seconds' + interval '9 minutes' * r2 END
             FROM (SELECT s.*, r1, r2, (ARRAY['ended', 'ended', 'failed', 'running'])[1 + floor(r3 * 4)::int] AS thrown_state,
                          CASE WHEN r2 < 0.5 THEN s.agent_id ELSE gen_random_uuid() END AS agent,
                          '2026-10-15T00:00:00Z'::timestamptz + interval '1 day' * r4 AS at
                   FROM sessions s, (SELECT random() AS r1, random() AS r2, random() AS r3, random() AS r4
                                     FROM generate_series(1, {count})) AS dice) AS thrown;
             INSERT INTO calls (tenant_id, id, session_id, agent_id, direction, is_primary, state, identity,
                 ring_timeout_seconds, max_duration_seconds, answer_detection, revision, created_at)
             SELECT tenant_id, gen_random_uuid(), id, agent_id, 'inbound', true, 'answered', 'x', 45, 600, 'off', 1, created_at
             FROM sessions WHERE extract(microseconds FROM created_at)::int % 3 = 0",
        ))
        .await
        .unwrap();
    let rows = "SELECT s.agent_id::text AS agent, CASE WHEN c.id IS NULL THEN 'web' ELSE 'telephone' END AS channel,
                       CASE WHEN s.ended_at IS NULL THEN 'open' ELSE s.state END AS outcome, s.end_reason AS reason,
                       s.starting_at, s.running_at, s.ended_at
                FROM sessions s LEFT JOIN calls c ON c.session_id = s.id WHERE s.starting_at IS NOT NULL";
    diesel::sql_query(rows).load(&mut connection).await.unwrap()
}

fn check_sessions(figures: &Value, rows: &[&SessionRow]) {
    let failed = rows.iter().filter(|row| row.outcome == "failed").count();
    assert_eq!(figures["sessions"], rows.len());
    assert_eq!(figures["failed"], failed);
    let spread =
        |of: fn(&SessionRow) -> Option<f64>| rows.iter().filter_map(|row| of(row)).collect();
    let join = spread(|row| seconds(Some(row.starting_at), row.running_at));
    check_spread(&figures["join_seconds"], join, "join");
    let duration = spread(|row| seconds(row.running_at, row.ended_at));
    check_spread(&figures["duration_seconds"], duration, "duration");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_sessions_equal_a_count_by_hand() {
    let app = TestApp::start_with(&["--reconcile-interval=10m"]).await;
    let fixture = app.tenant("acme").await;
    let all = random_sessions(&app, &fixture, 400).await;
    let rows: Vec<_> = all.iter().collect();
    for (group_by, of) in [
        (
            "agent",
            (|row| Some(&*row.agent)) as fn(&SessionRow) -> Option<&str>,
        ),
        ("channel", |row| Some(&row.channel)),
        ("outcome", |row| Some(&row.outcome)),
        ("reason", |row| Some(row.reason.as_deref().unwrap_or(""))),
        ("binding", |_| None),
        ("direction", |_| None),
    ] {
        let span = "from=2026-10-15T00:00:00Z&to=2026-10-16T00:00:00Z";
        let metrics = get(&fixture, &format!("{span}&group_by={group_by}")).await;
        let bucket = &metrics["buckets"][0];
        check_sessions(&bucket["sessions"], &rows);
        for (name, of) in [
            (
                "session_outcomes",
                (|row| Some(&*row.outcome)) as fn(&SessionRow) -> Option<&str>,
            ),
            ("session_reasons", |row| row.reason.as_deref()),
        ] {
            for (key, count) in bucket[name].as_object().unwrap() {
                let same = rows.iter().filter(|row| of(row) == Some(&**key)).count();
                assert_eq!(count, same, "{name} {key}");
            }
        }
        let groups = bucket["session_groups"].as_array().unwrap();
        let keys: BTreeSet<_> = rows.iter().filter_map(|row| of(row)).collect();
        match group_by {
            "binding" => assert_eq!(groups[0]["key"], *fixture.binding),
            _ => assert_eq!(groups.len(), keys.len(), "{group_by}"),
        }
        for group in groups.iter().filter(|_| group_by != "binding") {
            let of_key = |row: &&&SessionRow| of(row) == group["key"].as_str();
            let rows: Vec<_> = rows.iter().filter(of_key).copied().collect();
            check_sessions(&group["figures"], &rows);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_buckets_are_there_and_wrong_spans_are_refused() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let at = fixture.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    let item = json!({ "kind": "llm", "provider": "p", "model": "m", "input_tokens": 7, "output_tokens": 3 });
    let report = json!({ "id": "1", "items": [item] });
    app.worker()
        .post(&format!("{at}/usage"), &report)
        .await
        .expect(200);
    let metrics = get(&fixture, "bucket=hour").await;
    let buckets = metrics["buckets"].as_array().unwrap();
    assert!((24..=25).contains(&buckets.len()), "{}", buckets.len());
    assert_eq!(
        (
            &buckets[0]["sessions"]["sessions"],
            &buckets[0]["calls"]["calls"]
        ),
        (&json!(0), &json!(0))
    );
    let last = &buckets[buckets.len() - 1];
    assert_eq!(
        (&last["sessions"]["sessions"], &last["input_tokens"]),
        (&json!(1), &json!(7))
    );
    let other = app.tenant("other").await;
    let theirs = get(&other, "bucket=hour").await;
    assert_eq!(
        theirs["buckets"][buckets.len() - 1]["sessions"]["sessions"],
        0
    );
    for (query, pointer, code) in [
        (
            "bucket=hour&from=2026-01-01T00:00:00Z".to_owned(),
            "/from",
            "too_many_buckets",
        ),
        (
            "to=%2B262142-12-31T00:00:00Z".to_owned(),
            "/to",
            "invalid_time",
        ),
        (
            "time_zone=Mars".to_owned(),
            "/time_zone",
            "unknown_time_zone",
        ),
        (
            "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z".to_owned(),
            "/from",
            "out_of_range",
        ),
        ("limit=1".to_owned(), "/limit", "unknown_field"),
        ("bucket=week".to_owned(), "/bucket", "invalid_value"),
    ] {
        let refused = fixture
            .admin
            .get(&fixture.at(&format!("metrics?{query}")))
            .await;
        assert_eq!(
            refused.violations(),
            [(pointer.to_owned(), code.to_owned())],
            "{query}"
        );
    }
}
