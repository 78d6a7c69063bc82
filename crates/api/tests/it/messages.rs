//! What errors say: words of the service, never those of a parser about its code.

use reqwest::Method;
use serde_json::Value;

use super::support::{Fixture, TestApp};

/// What parsers say in this process.
const FOREIGN: [&str; 10] = [
    "EOF",
    "boundary is not",
    "expected",
    "invalid type",
    "invalid digit",
    "parsing",
    "premature",
    "relative URL",
    "unknown variant",
    "utf-8 sequence",
];

/// The `detail` of a problem, none of whose words is foreign.
fn detail(problem: &Value) -> &str {
    let text = problem.to_string();
    for word in FOREIGN {
        assert!(!text.contains(word), "{word}: {text}");
    }
    problem["detail"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_located() {
    let app = TestApp::start().await;
    let cut = "The body ends before the JSON does.";
    for (body, expected) in [
        (&b""[..], cut),
        (b"{", cut),
        (br#"{"slug": "a"#, cut),
        (
            br#"{"slug": tru}"#,
            "The body is not JSON at line 1, column ",
        ),
        (
            b"{\n\"slug\": 1e999}",
            "The body is not JSON at line 2, column ",
        ),
        (
            br#"{"slug": "\ud800"}"#,
            "The body is not JSON at line 1, column ",
        ),
        (
            b"{\"slug\": \"\xff\"}",
            "The body is not JSON at line 1, column ",
        ),
        (
            br#"{"slug": 01}"#,
            "The body is not JSON at line 1, column ",
        ),
        (br#"{} {"#, "The body is not JSON at line 1, column "),
    ] {
        let client = app.operator();
        let answer = client.send(Method::POST, "/api/tenants", Some(body.to_vec()));
        let problem = answer.await.expect_error(400, "invalid_json");
        let detail = detail(&problem);
        assert!(
            detail.starts_with(expected),
            "{}: {detail}",
            body.escape_ascii()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_be_read_is_explained() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let header = "The header Content-Type must be `multipart/form-data` with a `boundary`.";
    let nameless = "Every part of the form needs a header Content-Disposition with a `name`.";
    let (cut, malformed) = ("The form ended early.", "The form is malformed.");
    let form = "multipart/form-data; boundary=b";
    for (media, body, expected) in [
        ("multipart/form-data", &b"--b--\r\n"[..], header),
        ("multipart/form-data; boundary", b"--b--\r\n", header),
        (form, b"", cut),
        (
            form,
            b"--b\r\ncontent-type: text/plain\r\n\r\nx\r\n--b--\r\n",
            nameless,
        ),
        (
            form,
            b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n",
            nameless,
        ),
        (
            form,
            b"--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nx",
            "The file ended early, or is malformed.",
        ),
        (form, b"--b\r\n\x01: x\r\n\r\nx\r\n--b--\r\n", malformed),
        (
            form,
            b"--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\n\xff\r\n--b--\r\n",
            "A form field is not UTF-8.",
        ),
    ] {
        let client = fixture.admin.with_header("content-type", media);
        let path = fixture.at("files");
        let answer = client.send(Method::POST, &path, Some(body.to_vec()));
        let problem = answer.await.expect_error(400, "bad_request");
        assert_eq!(detail(&problem), expected, "{}", body.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_wrong_is_named_in_our_words() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    for query in [
        "agents?limit=x",
        "agents?count=x",
        "agents?cursor=x",
        "agents?nope=x",
        "sessions?from=x",
        "sessions?agent_id=x",
        "sessions?state=x",
        "sessions?configuration_digest=x",
        "calls?direction=x",
        "audit-events?action=x",
    ] {
        let refused = fixture.admin.get(&fixture.at(query)).await;
        let problem = refused.expect_error(422, "validation_failed");
        detail(&problem);
        let pointer = format!("/{}", query.split(['?', '=']).nth(1).unwrap());
        let found = problem["errors"][0]["pointer"].as_str().unwrap();
        assert!(found.starts_with(&pointer), "{problem}");
    }
    let tool = |fixture: &Fixture, url: &str| {
        let spec = serde_json::json!({
            "kind": "http", "function_name": "f", "description": "d",
            "http": { "method": "GET", "url": url },
        });
        let path = fixture.at(&format!("tools/{}/versions", fixture.tool));
        let client = fixture.admin.clone();
        async move {
            client
                .post(&path, &serde_json::json!({ "spec": spec }))
                .await
        }
    };
    for url in [
        "example.org",
        "https://",
        "https://example.org:99999/",
        "https://[::1/",
    ] {
        let problem = tool(&fixture, url)
            .await
            .expect_error(422, "validation_failed");
        detail(&problem);
        assert_eq!(
            problem["errors"][0]["pointer"], "/spec/http/url",
            "{problem}"
        );
    }
}
