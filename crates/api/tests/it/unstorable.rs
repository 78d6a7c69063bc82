//! Values that the database cannot store are refused in every part of a request. The parts come from the OpenAPI
//! document, so that new ones are covered automatically.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    coverage::{World, body, caller, fill, send, world},
    support::{Response, TestApp, deliver, document, event, eventually, now, operations},
};

/// Percent-encoded bytes that are no text: NUL alone and in between, NUL in two bytes, an invalid byte, an
/// incomplete character.
const NO_TEXT: [&str; 5] = ["%00", "a%00b", "%C0%80", "%FF", "%ED%A0%80"];
/// Text that is out of every range.
const OUT_OF_RANGE: [&str; 8] = [
    "99999999999999999999",
    "-99999999999999999999",
    "1e400",
    "%2B300000-01-01T00:00:00Z",
    "-5000-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "0000-01-01T00:00:00Z",
    "%EF%BF%BF%F4%8F%BF%BF",
];

/// The names of an operation's parameters in this place.
fn parameters(operation: &Value, place: &str) -> Vec<String> {
    let all = operation["parameters"].as_array().cloned();
    let resolve = |parameter: Value| match parameter["$ref"].as_str() {
        Some(to) => document().pointer(&to[1..]).unwrap().clone(),
        None => parameter,
    };
    let all = all.unwrap_or_default().into_iter().map(resolve);
    let here = all.filter(|parameter| parameter["in"] == place);
    here.map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A request of this operation; uploads have a body of bytes.
async fn request(world: &World, method: &str, url: &str, operation: &Value) -> Response {
    let client = caller(world, operation);
    let is_upload = operation["operationId"] == "uploadFile";
    match body(operation, &world.ids) {
        Some(body) => send(&client, method, url, Some(&body)).await,
        None if is_upload => client.upload(url, b"Notes.").await,
        None => send(&client, method, url, None).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_parameter_takes_what_is_no_text() {
    let (world, _theirs) = world().await;
    let long = "x".repeat(50_000);
    let mut tried = 0;
    for (method, path, operation) in operations() {
        let url = fill(&path, &world.ids);
        for name in parameters(operation, "query") {
            tried += 1;
            for value in NO_TEXT {
                let url = format!("{url}?{name}={value}");
                let answer = request(&world, &method, &url, operation).await;
                assert_eq!(answer.status, 422, "{method} {url}: {}", answer.body);
            }
            for value in OUT_OF_RANGE.into_iter().chain([&*long, ""]) {
                let url = format!("{url}?{name}={value}");
                let status = request(&world, &method, &url, operation).await.status;
                assert!(!status.is_server_error(), "{method} {url}: {status}");
            }
        }
        if method == "GET" && !parameters(operation, "query").is_empty() {
            for query in ["%00=a", "a%00b=c", "%FF=a", "a=1&a=%00"] {
                let url = format!("{url}?{query}");
                let answer = request(&world, &method, &url, operation).await;
                assert_eq!(answer.status, 422, "{url}: {}", answer.body);
            }
        }
    }
    assert!(tried > 80, "only {tried} parameters were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_path_takes_what_is_no_text() {
    let (world, _theirs) = world().await;
    let mut tried = 0;
    for (method, path, operation) in operations() {
        for parameter in parameters(operation, "path") {
            tried += 1;
            let (before, after) = path.split_once(&format!("{{{parameter}}}")).unwrap();
            let (before, after) = (fill(before, &world.ids), fill(after, &world.ids));
            for value in NO_TEXT {
                let url = format!("{before}{value}{after}");
                let answer = request(&world, &method, &url, operation).await;
                assert_eq!(answer.status, 404, "{method} {url}: {}", answer.body);
            }
            for value in ["99999999999999999999", "%252F", "%2500"] {
                let url = format!("{before}{value}{after}");
                let status = request(&world, &method, &url, operation).await.status;
                assert!(!status.is_server_error(), "{method} {url}: {status}");
            }
        }
    }
    assert!(tried > 200, "only {tried} parameters were tried");
}

/// The pointers of all strings in a value.
fn strings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                strings(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                strings(item, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_string_of_a_body_takes_what_is_no_text() {
    let (world, _theirs) = world().await;
    let mut tried = 0;
    for (method, path, operation) in operations() {
        let Some(body) = body(operation, &world.ids) else {
            continue;
        };
        let (url, client) = (fill(&path, &world.ids), caller(&world, operation));
        let mut pointers = Vec::new();
        strings(&body, "", &mut pointers);
        for pointer in pointers {
            tried += 1;
            let mut broken = body.clone();
            *broken.pointer_mut(&pointer).unwrap() = json!("a\0b");
            let answer = send(&client, &method, &url, Some(&broken)).await;
            let expected = [(pointer.clone(), "control_character".to_owned())];
            assert_eq!(answer.violations(), expected, "{method} {url}");
            *broken.pointer_mut(&pointer).unwrap() = json!("HALF");
            for half in [r"\ud800", r"\udc00x", r"\ud800\ud800"] {
                let text = broken.to_string().replace("HALF", half);
                let method: Method = method.parse().unwrap();
                let answer = client.send(method, &url, Some(text.into_bytes())).await;
                answer.expect_error(400, "invalid_json");
            }
        }
    }
    assert!(tried > 60, "only {tried} strings were tried");
}

/// The status of the response to these bytes; none if the connection was closed.
fn raw(app: &TestApp, request: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(app.server.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.get(9..12)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_takes_what_is_no_text() {
    let (world, _theirs) = world().await;
    let tenant = world.ids["tenant_id"].as_str().unwrap();
    let agent = world.ids["agent_id"].as_str().unwrap();
    let body = br#"{"name":"n"}"#;
    for name in [
        "x-request-id",
        "user-agent",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "range",
        "x-forwarded-for",
        "traceparent",
        "origin",
        "content-type",
        "accept-encoding",
        "authorization",
    ] {
        for value in [
            &b"a\0b"[..],
            b"\xff\xfe",
            b"\xc0\x80",
            b"a\tb",
            &[b'x'; 5000],
        ] {
            for (method, path) in [
                ("PATCH", format!("/api/tenants/{tenant}/agents/{agent}")),
                ("POST", format!("/api/tenants/{tenant}/agents")),
                ("GET", format!("/api/tenants/{tenant}/agents")),
            ] {
                let key = super::support::OPERATOR_KEY;
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n",
                    body.len()
                );
                let mut request = head.into_bytes();
                for (other, usual) in [
                    ("authorization", &*format!("Bearer {key}")),
                    ("content-type", "application/json"),
                ] {
                    if other != name {
                        request.extend(format!("{other}: {usual}\r\n").into_bytes());
                    }
                }
                request.extend(format!("{name}: ").into_bytes());
                request.extend(value);
                request.extend(b"\r\n\r\n");
                request.extend(body);
                let app = &world.app;
                let status = tokio::task::block_in_place(|| raw(app, &request));
                let fine = status.is_none_or(|status| status < 500);
                assert!(fine, "{method} {name}: {value:?}: {status:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_of_a_form_takes_what_is_no_text() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let client = fixture
        .admin
        .with_header("content-type", "multipart/form-data; boundary=b");
    let part = |head: &str, value: &[u8]| {
        let head = format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let send = async |parts: &[Vec<u8>]| {
        let body = [&parts.concat()[..], b"--b--\r\n"].concat();
        client
            .send(Method::POST, &fixture.at("files"), Some(body))
            .await
    };
    let file = part("name=\"file\"; filename=\"a.txt\"", b"Notes.");
    send(std::slice::from_ref(&file)).await.expect(201);
    for (field, value) in [
        ("name", &b"a\0b"[..]),
        ("name", b"\0"),
        ("name", b"a\xff"),
        ("metadata", br#"{"a": "\u0000"}"#),
        ("metadata", br#"{"\u0000": 1}"#),
        ("metadata", br#"{"a": {"b": ["x\u0000"]}}"#),
        ("metadata", br#"{"a": "\ud800"}"#),
        ("metadata", b"{\"a\": \"\0\"}"),
        ("ingest", b"true\0"),
        ("a\0b", b"x"),
    ] {
        let field = part(&format!("name=\"{field}\""), value);
        for parts in [[file.clone(), field.clone()], [field.clone(), file.clone()]] {
            let answer = send(&parts).await;
            let status = answer.status;
            assert!(
                status.is_client_error(),
                "{value:?}: {status}: {}",
                answer.body
            );
        }
    }
    for head in [
        "name=\"file\"; filename=\"a\0b.txt\"",
        "name=\"file\"; filename=\"\0\"",
        "name=\"file\"; filename=\"\u{7f}.txt\"",
        "name=\"fi\0le\"; filename=\"a.txt\"",
    ] {
        let answer = send(&[part(head, b"Notes.")]).await;
        assert!(answer.status.is_client_error(), "{head:?}: {}", answer.body);
    }
    // These are not sent to the database.
    for head in [
        "name=\"file\"; filename*=UTF-8''a%00b.txt",
        "name=\"file\"; filename=\"a%00b.txt\"",
    ] {
        let status = send(&[part(head, b"Notes.")]).await.status;
        assert!(!status.is_server_error(), "{head:?}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_true_whatever_a_participant_is_called() {
    let app = TestApp::start_with(&["--join-deadline=20s", "--agent-grace=30s"]).await;
    let fixture = app.tenant("acme").await;
    let session = fixture.session(true).await;
    let person = json!({
        "sid": "PA_\0u", "identity": "a\0da", "name": "\0", "kind": "STANDARD\0", "metadata": "\0",
        "attributes": { "a\0": "b\0", "sip.callStatus": "\0" }, "unknown": ["\0", { "\0": 1 }],
    });
    let joined = event(
        "EV_\0u",
        "participant_joined",
        &session,
        now(),
        Some(person),
    );
    deliver(&app, &joined).await.expect(200);
    let path = fixture.at(&format!(
        "sessions/{}/participants",
        session["id"].as_str().unwrap()
    ));
    let person = eventually("ada is there", async || {
        let people = fixture.admin.get(&path).await.expect(200);
        let mut people = people["data"].as_array().unwrap().clone();
        people.retain(|person| person["identity"] == "ada");
        people.pop()
    })
    .await;
    assert_eq!(
        (&person["sid"], &person["name"]),
        (&json!("PA_u"), &json!(""))
    );
    let mut everywhere = Vec::new();
    let whole = event(
        "EV_v",
        "participant_left",
        &session,
        now(),
        Some(json!({ "sid": "PA_v", "identity": "v" })),
    );
    strings(&whole, "", &mut everywhere);
    for pointer in everywhere {
        let mut broken = whole.clone();
        broken["id"] = json!(format!("EV{}", pointer.replace('/', "_")));
        *broken.pointer_mut(&pointer).unwrap() = json!("\0a\0");
        deliver(&app, &broken).await.expect(200);
        let mut odd = whole.clone();
        odd["id"] = json!(format!("EV2{}", pointer.replace('/', "_")));
        *odd.pointer_mut(&pointer).unwrap() = json!("99999999999999999999");
        deliver(&app, &odd).await.expect(200);
    }
    let mut long = whole;
    long["id"] = json!("x".repeat(5000));
    deliver(&app, &long).await.expect_error(400, "invalid_json");
}
