//! Commands of the binary beside `serve`, and settings in files.

use std::process::{Command, Output};

use super::support::{Client, Process, TestApp, arguments, environment, eventually, free_port};

fn patchbay(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchbay-api"));
    // They may be set for the tests themselves.
    command
        .env_remove("DATABASE_OWNER_URL")
        .env_remove("PATCHBAY_LISTEN");
    command.args(arguments).envs(variables.iter().copied());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_what_is_down() {
    let ready = TestApp::start().await;
    let broken = TestApp::start_with(&["--livekit-url=http://127.0.0.1:9"]).await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for (base, arguments, fault) in [
        (ready.base(), &["health"][..], None),
        (broken.base(), &["health"], Some("not ready: livekit")),
        (broken.base(), &["health", "--live"], None),
        (nobody, &["health", "--live"], Some("does not respond")),
    ] {
        let listen = base.trim_start_matches("http://");
        let output = patchbay(arguments, &[("PATCHBAY_LISTEN", listen)]);
        let said = stderr(&output);
        assert_eq!(output.status.success(), fault.is_none(), "{said}");
        assert!(said.contains(fault.unwrap_or_default()), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_setting_may_be_in_a_file() {
    let app = TestApp::start().await;
    let file = format!("{}/owner-url-{}", environment("FOLDER"), free_port());
    std::fs::write(&file, app.url("DATABASE_OWNER_URL") + "\n").unwrap();
    let in_file = ("DATABASE_OWNER_URL_FILE", &*file);
    let output = patchbay(&["migrate"], &[in_file]);
    assert!(output.status.success(), "{}", stderr(&output));
    let nowhere = format!("{file}-is-not-there");
    let binary = format!("{file}-is-no-text");
    std::fs::write(&binary, "a secret\0").unwrap();
    for (variables, named) in [
        (
            &[in_file, ("DATABASE_OWNER_URL", "x")][..],
            "only one of them",
        ),
        (
            &[("DATABASE_OWNER_URL_FILE", &*nowhere)],
            "DATABASE_OWNER_URL_FILE: ",
        ),
        (
            &[("DATABASE_OWNER_URL_FILE", &*binary)],
            "DATABASE_OWNER_URL_FILE: ",
        ),
    ] {
        let output = patchbay(&["migrate"], variables);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(named) && !said.contains("a secret"), "{said}");
    }
}

#[test]
fn the_version_names_the_schema() {
    let output = patchbay(&["--version"], &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    let newest = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"));
    let names = newest.unwrap().map(|entry| entry.unwrap().file_name());
    let newest = names.max().unwrap().into_string().unwrap();
    let first = format!("patchbay-api {}\n", env!("CARGO_PKG_VERSION"));
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains(&format!("\nschema {newest}\n")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_on_a_port_of_their_own() {
    let app = TestApp::start().await;
    let [api, metrics] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let more = [
        format!("--listen={api}"),
        format!("--metrics-listen={metrics}"),
    ];
    let more: Vec<_> = more.iter().map(|argument| &**argument).collect();
    let mut process = Process::api(&arguments(app.schema(), &more));
    process.wait_for("\"serving\"");
    let base = format!("http://{api}");
    let fixture = app.tenant("acme").await;
    let admin = Client::new(&base, Some(&fixture.key));
    admin.get(&fixture.at("agents")).await.expect(200);
    let client = Client::new(&base, None);
    client.get("/api/whoami").await.expect(401);
    client.get("/metrics").await.expect(404);
    let read = async || {
        let response = reqwest::get(format!("http://{metrics}/metrics"))
            .await
            .unwrap();
        response.text().await.unwrap()
    };
    eventually("an attempt of a job", async || {
        read()
            .await
            .contains("patchbay_job_duration_seconds_count")
            .then_some(())
    })
    .await;
    let text = read().await;
    let counted = |name: &str, parts: &[&str]| {
        let of_name = |line: &&str| line.starts_with(name);
        let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
        let line = text.lines().filter(of_name).find(is_it);
        line.unwrap_or_else(|| panic!("{name} {parts:?} is not in {text}"))
            .to_owned()
    };
    let requests = "http_server_request_duration_seconds_count";
    let refused = [
        "http_route=\"/api/whoami\"",
        "http_response_status_code=\"401\"",
        "http_request_method=\"GET\"",
    ];
    assert!(counted(requests, &refused).ends_with(" 1"));
    counted(requests, &["http_route=\"\"", "\"404\""]);
    counted("db_client_connection_wait_time_seconds_count", &[]);
    counted("db_client_connection_count", &["\"used\""]);
    counted(
        "target_info",
        &["service_version=\"", "service_name=\"patchbay-api\""],
    );
    let list = "http_route=\"/api/tenants/{tenant_id}/agents\"";
    counted(requests, &[list, "\"200\""]);
    assert!(!text.contains(&fixture.tenant), "no metric names a tenant");
}
