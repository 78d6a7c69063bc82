//! Secrets: stored encrypted, and never returned.

use diesel::{
    QueryableByName,
    sql_types::{Binary, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use patchbay_service::{keyring::Sealed, secrets::rotate};
use serde_json::json;

use super::support::TestApp;

const VALUE: &str = "tok-very-secret-4711";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    sealing_key: String,
    #[diesel(sql_type = Binary)]
    nonce: Vec<u8>,
    #[diesel(sql_type = Binary)]
    sealed: Vec<u8>,
}

async fn stored(app: &TestApp, tenant: &str) -> Sealed {
    let mut database = app.connect("DATABASE_URL").await;
    let set = format!("SELECT set_config('app.tenant_id', '{tenant}', false)");
    database.batch_execute(&set).await.unwrap();
    let query = "SELECT sealing_key, nonce, sealed FROM secrets WHERE name = 'CRM'";
    let row: Row = diesel::sql_query(query)
        .get_result(&mut database)
        .await
        .unwrap();
    Sealed {
        key: row.sealing_key,
        nonce: row.nonce,
        sealed: row.sealed,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_kept_sealed_and_never_answered() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at("secrets/CRM");
    let body = json!({ "value": VALUE, "hosts": ["CRM.example.org"] });
    for tag in ["*", "\"0\"", "\"1\""] {
        let sure = fixture.admin.with_header("if-match", tag);
        let refused = sure.put(&path, &body).await;
        refused.expect_error(412, "precondition_failed");
    }
    let made = fixture.admin.put(&path, &body).await;
    let headers = (made.header("etag"), made.header("location"));
    assert_eq!(headers, ("\"1\"", &*path));
    let made = made.expect(201);
    assert_eq!(made["hosts"], json!(["crm.example.org"]));
    let body = json!({ "value": VALUE, "hosts": ["crm.example.org", "192.0.2.1"] });
    let stale = fixture.admin.with_header("if-match", "\"7\"");
    stale
        .put(&path, &body)
        .await
        .expect_error(412, "precondition_failed");
    let any = fixture.admin.with_header("if-match", "*");
    let changed = any.put(&path, &body).await.expect(200);
    assert_eq!(
        (&changed["revision"], &changed["created_at"]),
        (&json!(2), &made["created_at"])
    );
    let listed = fixture.admin.get(&fixture.at("secrets")).await.expect(200);
    let trail = fixture
        .admin
        .get(&fixture.at("audit-events?resource_kind=secret"))
        .await;
    let trail = trail.expect(200);
    assert_eq!(trail["data"].as_array().unwrap().len(), 2);
    for response in [&made, &changed, &listed, &trail] {
        assert!(!response.to_string().contains(VALUE), "{response}");
    }
    let sealed = stored(&app, &fixture.tenant).await;
    assert!(
        !sealed
            .sealed
            .windows(8)
            .any(|part| VALUE.as_bytes().starts_with(part))
    );
    let tenant = fixture.tenant.parse().unwrap();
    let keyring = &app.server.app.service.keyring;
    assert_eq!(keyring.open(tenant, "CRM", &sealed).unwrap(), VALUE);
    // An editor can read names, and write none.
    let editor = json!({ "name": "e", "preset": "editor" });
    let editor = fixture
        .admin
        .post(&fixture.at("keys"), &editor)
        .await
        .expect(201);
    let editor = app.with_key(editor["secret"].as_str().unwrap());
    editor.get(&path).await.expect(200);
    editor
        .put(&path, &body)
        .await
        .expect_error(403, "missing_scope");
    fixture.admin.delete(&path).await.expect(204);
    fixture
        .admin
        .get(&path)
        .await
        .expect_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_hosts_are_checked() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let good = json!({ "value": "v", "hosts": ["example.org"] });
    for name in ["1A", "A-B", "a.b", &*"A".repeat(65)] {
        let refused = fixture
            .admin
            .put(&fixture.at(&format!("secrets/{name}")), &good)
            .await;
        assert_eq!(refused.violations()[0].1, "invalid_name", "{name}");
    }
    for host in [
        "*.example.org",
        "https://example.org",
        "example.org/x",
        "example.org:443",
        "a b",
    ] {
        let body = json!({ "value": "v", "hosts": ["example.org", host] });
        let refused = fixture.admin.put(&fixture.at("secrets/A"), &body).await;
        assert_eq!(
            refused.violations(),
            [("/hosts/1".into(), "invalid_host".into())],
            "{host}"
        );
    }
    for body in [
        json!({ "value": "v", "hosts": [] }),
        json!({ "value": "", "hosts": ["a.b"] }),
    ] {
        let refused = fixture.admin.put(&fixture.at("secrets/A"), &body).await;
        refused.expect_error(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_takes_over() {
    let mut app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let body = json!({ "value": VALUE, "hosts": ["example.org"] });
    fixture
        .admin
        .put(&fixture.at("secrets/CRM"), &body)
        .await
        .expect(201);
    let old = stored(&app, &fixture.tenant).await;
    assert_eq!(old.key, "one");
    let ring = format!(
        "--secret-keys=two:{},one:{}",
        "2".repeat(64),
        "1".repeat(64)
    );
    app.restart_with(&[&ring]).await;
    assert_eq!(rotate(&app.server.app.service).await.unwrap(), 1);
    assert_eq!(rotate(&app.server.app.service).await.unwrap(), 0);
    let new = stored(&app, &fixture.tenant).await;
    let only = format!("--secret-keys=two:{}", "2".repeat(64));
    app.restart_with(&[&only]).await;
    let tenant = fixture.tenant.parse().unwrap();
    let keyring = &app.server.app.service.keyring;
    assert_eq!(keyring.open(tenant, "CRM", &new).unwrap(), VALUE);
    assert!(keyring.open(tenant, "CRM", &old).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nothing_is_kept() {
    let app = TestApp::start_with(&["--secret-keys="]).await;
    let fixture = app.tenant("acme").await;
    let body = json!({ "value": VALUE, "hosts": ["example.org"] });
    let refused = fixture.admin.put(&fixture.at("secrets/CRM"), &body).await;
    refused.expect_error(409, "secrets_not_configured");
}
