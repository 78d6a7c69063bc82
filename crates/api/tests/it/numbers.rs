//! Telephone numbers: assigned by the operator, to one tenant each.

use reqwest::Method;
use serde_json::json;

use super::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_number_has_one_owner() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let operator = app.operator();
    let put = async |path: &str| operator.send(Method::PUT, path, None).await;
    let path = ours.at("numbers/+49%20(30)%20123456");
    let made = put(&path).await.expect(200);
    assert_eq!(made["number"], "+4930123456", "one spelling is answered");
    assert_eq!(
        put(&ours.at("numbers/+4930123456")).await.expect(200),
        made,
        "again is the same"
    );
    put(&theirs.at("numbers/+4930123456"))
        .await
        .expect_error(409, "number_taken");
    let listed = ours.admin.get(&ours.at("numbers")).await.expect(200);
    assert_eq!(listed["data"], json!([made]));
    let listed = theirs.admin.get(&theirs.at("numbers")).await.expect(200);
    assert_eq!(listed["data"], json!([]));
    let wrong = put(&ours.at("numbers/0301234")).await;
    assert_eq!(
        wrong.violations(),
        [(String::new(), "invalid_number".to_owned())]
    );
    let own = ours
        .admin
        .send(Method::PUT, &ours.at("numbers/+4930123457"), None)
        .await;
    own.expect_error(403, "missing_scope");

    operator
        .delete(&theirs.at("numbers/+4930123456"))
        .await
        .expect_error(404, "not_found");
    operator
        .delete(&ours.at("numbers/+4930123456"))
        .await
        .expect(204);
    operator
        .delete(&ours.at("numbers/+4930123456"))
        .await
        .expect_error(404, "not_found");
    put(&theirs.at("numbers/+4930123456")).await.expect(200);
    let events = ours
        .admin
        .get(&ours.at("audit-events?limit=5"))
        .await
        .expect(200);
    let actions: Vec<_> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["action"].clone())
        .collect();
    assert_eq!(actions[..2], ["number.deleted", "number.created"]);
}
