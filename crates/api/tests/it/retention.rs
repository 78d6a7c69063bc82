//! Records that are erased after the days for which operator and tenant keep them.

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, count, eventually, id};

/// Records of a tenant from a hundred days ago, and as many from yesterday.
async fn keep_records(database: &mut AsyncPgConnection, fixture: &Fixture) {
    let (tenant, session) = (&fixture.tenant, id(&fixture.session(false).await));
    let old = "lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || substr(md5(random()::text), 1, 20)";
    let of = |days: u32, number: u32| {
        format!(
            "FROM (SELECT now() - interval '{days} days' AS at, n FROM generate_series(1, {number}) AS n) AS made"
        )
    };
    let mut records = format!("SELECT set_config('app.tenant_id', '{tenant}', false);");
    for (days, number) in [(100, 2_100), (2, 3)] {
        records += &format!(
            "INSERT INTO transcript_turns (tenant_id, id, session_id, turn_id, role, text, started_at, interrupted, created_at)
             SELECT '{tenant}', ({old})::uuid, '{session}', '{days}-' || n, 'user', 'words', at, false, at {};",
            of(days, number)
        );
        records += &format!(
            "INSERT INTO session_events (tenant_id, id, session_id, at, kind, facts)
             SELECT '{tenant}', ({old})::uuid, '{session}', at, 'run.pending', '{{}}' {};",
            of(days, 5)
        );
        records += &format!(
            "INSERT INTO calls (tenant_id, id, session_id, agent_id, direction, is_primary, state, identity, reason,
                                ring_timeout_seconds, max_duration_seconds, answer_detection, revision, created_at, ended_at)
             SELECT '{tenant}', ({old})::uuid, '{session}', '{}', 'outbound', false, 'ended', 'phone', 'completed',
                    30, 60, 'off', 1, at, at {};",
            fixture.agent,
            of(days, 4)
        );
        records += &format!(
            "INSERT INTO audit_events (tenant_id, id, at, actor_kind, actor_id, action, resource_kind, resource_id, changed, request_id)
             SELECT '{tenant}', ({old})::uuid, at, 'system', 'system', 'updated', 'agent', '{}', '{{}}', '' {};",
            fixture.agent,
            of(days, 6)
        );
    }
    database.batch_execute(&records).await.unwrap();
}

/// Numbers of old turns, events, calls and audit events of the tenant, and of young ones.
async fn numbers(database: &mut AsyncPgConnection, tenant: &str) -> [[i64; 4]; 2] {
    let enter = format!("SELECT set_config('app.tenant_id', '{tenant}', false)");
    database.batch_execute(&enter).await.unwrap();
    let mut found = [[0; 4]; 2];
    for (found, age) in found.iter_mut().zip(["<", ">="]) {
        let tables = [
            ("transcript_turns", "created_at"),
            ("session_events", "at"),
            ("calls", "ended_at"),
            ("audit_events", "at"),
        ];
        for (found, (table, time)) in found.iter_mut().zip(tables) {
            let rows = format!(
                "{table} WHERE tenant_id = '{tenant}' AND {time} {age} now() - interval '50 days'"
            );
            *found = count(database, &rows).await;
        }
    }
    found
}

/// Has the job run now.
async fn run(app: &TestApp) {
    let job = eventually("the job is scheduled", async || {
        let jobs = app
            .operator()
            .get("/api/jobs?kind=retention&state=waiting")
            .await;
        jobs.expect(200)["data"].get(0).map(id)
    })
    .await;
    let path = format!("/api/jobs/{job}/retry");
    app.operator().act(&path).await.expect(200);
}

async fn retention_event(fixture: &Fixture) -> Option<Value> {
    let path = fixture.at("audit-events?action=tenant.retention_applied");
    fixture.admin.get(&path).await.expect(200)["data"]
        .get(0)
        .cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_are_erased_and_counted() {
    let days = "--retention-days=transcripts=60,timelines=0,calls=0,audit=90";
    let app = TestApp::start_with(&[days]).await;
    let (fixture, other) = (app.tenant("acme").await, app.tenant("other").await);
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    for fixture in [&fixture, &other] {
        keep_records(&mut database, fixture).await;
    }
    let [_, young] = numbers(&mut database, &fixture.tenant).await;
    let body =
        json!({ "settings": { "retention_days": { "calls": 70, "transcripts": 80, "audit": 2 } } });
    let path = format!("/api/tenants/{}", fixture.tenant);
    fixture.admin.patch(&path, &body).await.expect(200);
    run(&app).await;
    let event = eventually("it is told", async || retention_event(&fixture).await).await;
    let erased = &event["after"];
    assert_eq!(
        [
            &erased["transcript_turns"],
            &erased["session_events"],
            &erased["calls"]
        ],
        [2_100, 0, 4]
    );
    // Those from two days ago may be a moment too young.
    assert!(erased["audit_events"].as_i64() >= Some(6), "{event}");
    assert_eq!(
        (&event["actor_kind"], &event["resource_id"]),
        (&json!("system"), &json!(fixture.tenant))
    );
    let [old, now] = numbers(&mut database, &fixture.tenant).await;
    assert_eq!(old, [0, 5, 0, 0]);
    assert_eq!(now[..3], young[..3], "the young ones are kept");
    // The operator's days hold for those who set none.
    eventually("also of the other", async || retention_event(&other).await).await;
    let [old, _] = numbers(&mut database, &other.tenant).await;
    assert_eq!(old, [0, 5, 4, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_old_records_of_the_own_tenant_can_be_erased() {
    let app = TestApp::start().await;
    let (fixture, other) = (app.tenant("acme").await, app.tenant("other").await);
    let mut owner = app.connect("DATABASE_OWNER_URL").await;
    keep_records(&mut owner, &fixture).await;
    let mut database = app.connect("DATABASE_URL").await;
    let enter = format!(
        "SELECT set_config('app.tenant_id', '{}', false)",
        other.tenant
    );
    database.batch_execute(&enter).await.unwrap();
    let tenant = &fixture.tenant;
    let last = "'ffffffff-ffff-ffff-ffff-ffffffffffff'";
    for function in ["erase_old_calls", "erase_old_audit_events"] {
        let erase =
            format!("SELECT {function}('{tenant}', now() - interval '9 days', {last}, 100)");
        database.batch_execute(&erase).await.unwrap_err();
        let young = format!("SELECT {function}('{}', now(), {last}, 100)", other.tenant);
        database.batch_execute(&young).await.unwrap_err();
    }
    database
        .batch_execute("DELETE FROM audit_events")
        .await
        .unwrap_err();
    let [old, _] = numbers(&mut owner, tenant).await;
    assert_eq!(old, [2_100, 5, 4, 6], "another tenant erases nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_cannot_be_kept_are_refused() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = format!("/api/tenants/{}", fixture.tenant);
    for (days, pointer, code) in [
        (
            json!({ "calls": 0 }),
            "/settings/retention_days/calls",
            "out_of_range",
        ),
        (
            json!({ "recordings": 5 }),
            "/settings/retention_days",
            "unknown_field",
        ),
        (json!(30), "/settings/retention_days", "invalid_type"),
    ] {
        let body = json!({ "settings": { "retention_days": days } });
        let refused = fixture.admin.patch(&path, &body).await;
        assert_eq!(
            refused.violations(),
            [(pointer.to_owned(), code.to_owned())]
        );
    }
}
