//! Connections to PostgreSQL: tenants share them, and a request thread has some for itself.

use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::json;

use super::support::{TestApp, count, eventually, id};

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    value: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_alternate_over_one_connection() {
    let app = TestApp::start_with(&["--database-pool-size=1"]).await;
    let fixtures = [app.tenant("ours").await, app.tenant("theirs").await];
    let db = &app.server.app.service.db;
    for _ in 0..10 {
        for fixture in &fixtures {
            let path = fixture.at("agents");
            let agents = fixture.admin.get(&path).await.expect(200);
            assert_eq!(agents["data"].as_array().unwrap().len(), 1);
            assert_eq!(id(&agents["data"][0]), fixture.agent);
            let mut connection = db.connection().await.unwrap();
            let tenant = "SELECT coalesce(current_setting('app.tenant_id', true), '') AS value";
            let tenant = diesel::sql_query(tenant);
            let left: Setting = tenant.get_result(&mut connection).await.unwrap();
            assert_eq!(left.value, "", "no setting outlives its transaction");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_whose_connections_are_all_busy_takes_a_shared_one() {
    // Four connections of the only request thread, and four that are shared.
    let app = TestApp::start_with(&["--database-pool-size=8", "--workers=1"]).await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at(&format!("agents/{}", fixture.agent));
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let lock = format!(
        "BEGIN; SET LOCAL app.tenant_id = '{0}'; SELECT id FROM agents WHERE tenant_id = '{0}' AND id = '{1}' FOR UPDATE",
        fixture.tenant, fixture.agent
    );
    database.batch_execute(&lock).await.unwrap();
    let changes: Vec<_> = (0..4)
        .map(|n| {
            let (admin, path) = (fixture.admin.clone(), path.clone());
            tokio::spawn(async move {
                let body = json!({ "description": format!("Number {n}.") });
                admin.patch(&path, &body).await.expect(200)
            })
        })
        .collect();
    let mut watcher = app.connect("DATABASE_OWNER_URL").await;
    let waiting = "(SELECT DISTINCT pid FROM pg_locks AS waiting JOIN pg_locks AS held USING (pid)
                    WHERE NOT waiting.granted AND held.relation = 'agents'::regclass) AS blocked";
    eventually("four changes that wait for the lock", async || {
        (count(&mut watcher, waiting).await == 4).then_some(())
    })
    .await;
    fixture.admin.get(&path).await.expect(200);
    database.batch_execute("ROLLBACK").await.unwrap();
    for change in changes {
        change.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_inserts_and_sql_text_are_prepared_once() {
    let app = TestApp::start_with(&["--database-pool-size=1"]).await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at(&format!("agents/{}", fixture.agent));
    fixture.session(false).await;
    for name in ["One", "Two", "Three"] {
        let body = json!({ "name": name });
        fixture.admin.patch(&path, &body).await.expect(200);
        for path in [&path, &fixture.at("sessions")] {
            fixture.admin.get(path).await.expect(200);
        }
    }
    // The only connection, which all requests have used.
    let mut connection = app.server.app.service.db.connection().await.unwrap();
    // Patterns that do not match the statement which looks for them.
    for part in [
        r#""agents"."name".* running [<] capacit[y]"#,
        "AS binding_numbe[r]",
        r#"^UPDATE "agent[s]""#,
        r#"^INSERT INTO "audit_event[s]""#,
    ] {
        let statements = format!("pg_prepared_statements WHERE statement ~ '{part}'");
        assert_eq!(count(&mut connection, &statements).await, 1, "{part}");
    }
}
