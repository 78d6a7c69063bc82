//! Row-level security, tested for every table of the catalogue.

use diesel::{
    QueryableByName,
    sql_types::{Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};

use super::support::{TestApp, count, environment, eventually};

/// Tables that are read before the tenant is known, and the one whose index could not be used under row-level
/// security.
const LOOKUP: [&str; 7] = [
    "api_keys",
    "chunks",
    "ingest_turns",
    "jobs",
    "phone_numbers",
    "rooms",
    "sip_objects",
];

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    secured: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_rows_are_out_of_sight_in_every_table() {
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let app = TestApp::start_with(&[&model]).await;
    let ours = app.tenant("ours").await;
    let theirs = app.tenant("theirs").await;
    let session = ours.session(true).await;
    let keyed = ours.admin.with_header("idempotency-key", "k");
    let named = serde_json::json!({ "name": "b" });
    let user = serde_json::json!({ "email": "a@b.org", "display_name": "A" });
    ours.admin.post(&ours.at("users"), &user).await.expect(201);
    let at = ours.at(&format!("sessions/{}", session["id"].as_str().unwrap()));
    let turn = serde_json::json!({
        "id": "1", "role": "user", "text": "Hi", "started_at": "2026-11-23T20:00:00Z",
    });
    let turns = serde_json::json!({ "turns": [turn] });
    let worker = app.worker();
    worker
        .post(&format!("{at}/transcript"), &turns)
        .await
        .expect(200);
    let item = serde_json::json!({ "kind": "llm", "provider": "p", "model": "m" });
    let report = serde_json::json!({ "id": "1", "items": [item] });
    worker
        .post(&format!("{at}/usage"), &report)
        .await
        .expect(200);
    let secret = serde_json::json!({ "value": "v", "hosts": ["example.org"] });
    let path = ours.at("secrets/TOKEN");
    ours.admin.put(&path, &secret).await.expect(201);
    ours.trunk().await;
    let path = ours.at("files?name=a.txt");
    let file = ours.admin.upload(&path, b"A").await.expect(201);
    let attach = ours.at(&format!("agents/{}/files", ours.agent));
    let body = serde_json::json!({ "file_ids": [file["id"]] });
    ours.admin.post(&attach, &body).await.expect(200);
    let ingest = ours.at(&format!("files/{}/ingest", file["id"].as_str().unwrap()));
    ours.admin.act(&ingest).await.expect(202);
    let search = serde_json::json!({ "query": "a" });
    ours.admin
        .post(&ours.at("search"), &search)
        .await
        .expect(200);
    eventually("it is counted", async || {
        let metrics = ours
            .admin
            .get(&ours.at("metrics?bucket=hour"))
            .await
            .expect(200);
        let buckets = metrics["buckets"].as_array().unwrap();
        let sum = |name: &str| {
            buckets
                .iter()
                .map(|b| b[name].as_f64().unwrap())
                .sum::<f64>()
        };
        let counted = (
            sum("searches"),
            sum("files"),
            sum("file_bytes"),
            sum("chunks"),
        );
        (counted == (1.0, 1.0, 1.0, 1.0) && sum("embedding_seconds") > 0.0).then_some(())
    })
    .await;
    ours.mapping("+4930123456").await;
    let call = serde_json::json!({
        "agent_id": ours.agent, "to": "+4930123456", "variables": { "company": "Acme" },
    });
    ours.admin.post(&ours.at("calls"), &call).await.expect(201);
    keyed.post(&ours.at("agents"), &named).await.expect(201);
    let mut connection = app.connect("DATABASE_URL").await;
    set_tenant(&mut connection, &ours.tenant).await;
    connection
        .batch_execute(&format!(
            "INSERT INTO participants (tenant_id, id, session_id, sid, identity, name, kind)
             VALUES ('{}', gen_random_uuid(), '{}', 'PA_1', 'ada', '', 'standard')",
            ours.tenant,
            session["id"].as_str().unwrap()
        ))
        .await
        .unwrap();
    let tables: Vec<Table> = diesel::sql_query(format!(
        "SELECT c.relname::text AS name, c.relrowsecurity AND c.relforcerowsecurity AS secured
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind = 'r' AND a.attname = 'tenant_id' AND NOT a.attisdropped
           AND c.relnamespace = '{}'::regnamespace",
        app.schema()
    ))
    .load(&mut connection)
    .await
    .unwrap();
    assert_eq!(tables.len(), 32);
    for Table { name, secured } in tables {
        if LOOKUP.contains(&name.as_str()) {
            continue;
        }
        assert!(
            secured,
            "{name}: row-level security is not enabled and forced"
        );
        // The own rows are visible, otherwise the zeros below would prove nothing.
        for (seen_as, visible) in [(&*ours.tenant, true), ("", false), (&*theirs.tenant, false)] {
            set_tenant(&mut connection, seen_as).await;
            let own = format!("{name} WHERE tenant_id = '{}'", ours.tenant);
            let found = count(&mut connection, &own).await;
            assert_eq!(found > 0, visible, "{name} as {seen_as:?}");
        }
    }
}

async fn set_tenant(connection: &mut AsyncPgConnection, tenant: &str) {
    let set = format!("SELECT set_config('app.tenant_id', '{tenant}', false)");
    connection.batch_execute(&set).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_for_another_tenant_cannot_be_written() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let mut connection = app.connect("DATABASE_URL").await;
    set_tenant(&mut connection, &ours.tenant).await;
    let insert = |tenant: &str| {
        format!(
            "INSERT INTO configurations VALUES ('{tenant}', 'd', '{{}}', now());
             DELETE FROM agents WHERE tenant_id = '{tenant}'"
        )
    };
    let refused = connection
        .batch_execute(&insert(&theirs.tenant))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("row-level security"),
        "{refused}"
    );
    let delete = "DELETE FROM audit_events";
    let refused = connection.batch_execute(delete).await.unwrap_err();
    assert!(
        refused.to_string().contains("permission denied"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_role_bypasses_nothing() {
    let app = TestApp::start().await;
    assert_eq!(
        app.server.app.service.db.bypassing_role().await.unwrap(),
        None
    );
}
