//! A compromised extractor: here a shell that executes what the file says.

use std::os::unix::fs::PermissionsExt as _;

use patchbay_domain::Clock;
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, environment, eventually, id};

/// A service whose extractor executes the files.
async fn world() -> (TestApp, Fixture) {
    let reader = format!(
        "{}/hostile-reader-{}",
        environment("FOLDER"),
        Clock::system().new_uuid()
    );
    let program = "#!/bin/sh\nscript=$(/bin/cat)\neval \"$script\"\n";
    std::fs::write(&reader, program).unwrap();
    std::fs::set_permissions(&reader, std::fs::Permissions::from_mode(0o755)).unwrap();
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let settings = [
        &*model,
        &format!("--extractor={reader}"),
        "--extract-timeout=20s",
    ];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    (app, fixture)
}

/// The outcome of the ingest of a file with this script.
async fn outcome(fixture: &Fixture, script: &str) -> Value {
    let path = fixture.at("files?name=a.txt&ingest=true");
    let file = fixture.admin.upload(&path, script.as_bytes()).await;
    let file = file.expect(201);
    let path = fixture.at(&format!("files/{}/status", id(&file)));
    eventually("the ingest ends", async || {
        let status = fixture.admin.get(&path).await.expect(200);
        status["finished_at"].is_string().then_some(status)
    })
    .await
}

const CHUNK: &str =
    r#"{"chunk":{"page":null,"headings":[],"starts_at":0,"ends_at":1,"tokens":1,"text":"x"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_was_taken_over_is_not_believed() {
    let (_app, fixture) = world().await;
    let stay = "exec /bin/sleep 60";
    let back = r#"echo '{"progress":["chunk",0,1]}'; echo '{"progress":["extract",0,1]}'"#;
    for (script, code) in [
        (format!("echo '{{}}'; {stay}"), "damaged"),
        (format!("{back}; {stay}"), "damaged"),
        ("/usr/bin/head -c 9000000 /dev/zero".to_owned(), "damaged"),
        (
            format!("echo '{}'", CHUNK.replace('x', "\\u0000")),
            "damaged",
        ),
        (
            format!(
                "echo '{}'",
                CHUNK.replace("[]", r#"["","","","","","",""]"#)
            ),
            "damaged",
        ),
        (format!("/usr/bin/yes '{CHUNK}'"), "too_large"),
        (r#"echo '{"failure":["<b>","y"]}'"#.to_owned(), "damaged"),
    ] {
        let status = outcome(&fixture, &script).await;
        assert_eq!(status["error"]["code"], code, "{script}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stays_when_all_is_told_is_ended() {
    let (_app, fixture) = world().await;
    let script = format!("echo '{CHUNK}'; echo '{{\"end\":1}}'; exec /bin/sleep 60");
    let status = outcome(&fixture, &script).await;
    assert_eq!(
        (&status["state"], &status["pages"]),
        (&json!("done"), &json!(1)),
        "{status}"
    );
}
