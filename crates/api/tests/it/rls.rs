//! Row-level security, proved table by table from the catalogue.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use super::support::TestApp;

/// Tables that must be found before the tenant is known. This list may only shrink.
const LOOKUP: [&str; 3] = ["api_keys", "jobs", "rooms"];

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    secured: bool,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_rows_are_out_of_sight_in_every_table() {
    let app = TestApp::start().await;
    let ours = app.tenant("ours").await;
    let theirs = app.tenant("theirs").await;
    ours.session(true).await;
    let mut connection = app.connect("DATABASE_URL").await;
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
    assert_eq!(tables.len(), 13);
    for Table { name, secured } in tables {
        if LOOKUP.contains(&name.as_str()) {
            continue;
        }
        assert!(
            secured,
            "{name}: row-level security is not enabled and forced"
        );
        let mut counts = Vec::new();
        for tenant in ["", &ours.tenant, &theirs.tenant] {
            connection
                .batch_execute(&format!(
                    "SELECT set_config('app.tenant_id', '{tenant}', false)"
                ))
                .await
                .unwrap();
            let own = format!("count(*) FILTER (WHERE tenant_id <> '{}')", ours.tenant);
            let what = if tenant == ours.tenant {
                own.as_str()
            } else {
                "count(*)"
            };
            let what = if tenant == theirs.tenant {
                format!("count(*) FILTER (WHERE tenant_id = '{}')", ours.tenant)
            } else {
                what.to_owned()
            };
            let found: Count = diesel::sql_query(format!("SELECT {what} AS count FROM {name}"))
                .get_result(&mut connection)
                .await
                .unwrap();
            counts.push(found.count);
        }
        assert_eq!(counts, [0, 0, 0], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_for_another_tenant_cannot_be_written() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let mut connection = app.connect("DATABASE_URL").await;
    let set = format!(
        "SELECT set_config('app.tenant_id', '{}', false)",
        ours.tenant
    );
    connection.batch_execute(&set).await.unwrap();
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
    assert_eq!(app.server.app.db.bypassing_role().await.unwrap(), None);
}
