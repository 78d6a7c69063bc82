//! Panics: they fail only the work in which they happen, or end the process.

use std::{os::unix::process::ExitStatusExt as _, pin::Pin, process::Command, time::Duration};

use actix_web::{
    App, FromRequest, HttpRequest, HttpResponse, HttpServer, dev::Payload, middleware::from_fn, web,
};
use clap::Parser as _;
use diesel::{
    QueryableByName,
    sql_types::{Bool, Integer},
};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};
use futures_util::{FutureExt as _, stream};
use patchbay_api::{
    envelope::envelope,
    openapi::{Describe, Doc, Operation, Tag},
    panics::VITAL,
    response::Deleted,
    router::Api,
    routing::answer,
};
use serde_json::{Value, json};

use super::{
    crashes::Crashing,
    support::{
        Client, Fixture, Process, TestApp, Upstream, arguments, environment, eventually, id,
        make_schema,
    },
};

/// The text on which the model panics.
const FAULT: &str = "the planted fault";

async fn ready(client: &Client) {
    client.get("/health/ready").await.expect(200);
}

/// Uploads a text and waits until its ingest has ended.
async fn ingest(fixture: &Fixture, text: &str) -> Value {
    let path = fixture.at("files?name=a.txt&ingest=true");
    let file = fixture.admin.upload(&path, text.as_bytes()).await;
    let path = fixture.at(&format!("files/{}/status", id(&file.expect(201))));
    eventually("the ingest ends", async || {
        let status = fixture.admin.get(&path).await.expect(200);
        status["finished_at"].is_string().then_some(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_panics_on_a_text_goes_on_with_the_next() {
    let crashing = Crashing::new().await;
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let api = crashing.start(Some("panic:embed"), &[&model]);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let done = ingest(&fixture, "The workshop opens at nine.").await;
    assert_eq!(done["state"], "done", "{done}");
    let search = async |words: &str| {
        let question = json!({ "query": words, "mode": "semantic" });
        fixture.admin.post(&fixture.at("search"), &question).await
    };
    for _ in 0..3 {
        search(FAULT).await.expect_error(500, "internal");
        let found = search("When does the workshop open?").await.expect(200);
        assert_eq!(found["data"][0]["text"], "The workshop opens at nine.");
    }
    let failed = ingest(&fixture, FAULT).await;
    assert_eq!(failed["error"]["code"], "embedding_failed", "{failed}");
    let done = ingest(&fixture, "The workshop closes at six.").await;
    assert_eq!(done["state"], "done", "{done}");
    ready(&fixture.admin).await;
    let log = std::fs::read_to_string(&api.log).unwrap();
    assert_eq!(log.matches(r#""message":"panicked""#).count(), 4, "{log}");
    assert!(log.contains("crates/vectors/src/local.rs:") && !log.contains(FAULT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_panics_ends_the_process() {
    for name in [
        "loop_of_jobs",
        "loop_of_ingests",
        "loop_of_notifications",
        "loop_of_webhooks",
        "loop_of_usage",
    ] {
        let schema = make_schema().await;
        let crash = format!("--crash-at=panic:{name}");
        let mut api = Process::api(&arguments(&schema, &[&crash]));
        let ended = api.wait();
        let log = std::fs::read_to_string(&api.log).unwrap();
        assert_eq!(ended.code(), Some(1), "{log}");
        let said = format!("patchbay-api: {name}: it panicked");
        assert!(log.contains(&said), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_shows_what_is_broken() {
    let app = TestApp::start().await;
    let _ = app.server.app.fatal_error.set("loop_of_jobs".to_owned());
    let readiness = app.anonymous().get("/health/ready").await.expect(503);
    let checks = readiness["checks"].as_array().unwrap();
    let down = checks.iter().filter(|check| check["status"] == "down");
    let down: Vec<_> = down.map(|check| &check["name"]).collect();
    assert_eq!(down, ["background"]);
}

/// The database of the binary, as its owner.
async fn database(crashing: &Crashing) -> AsyncPgConnection {
    let owner = environment("DATABASE_OWNER_URL");
    let schema = &crashing.schema;
    let url = format!("{owner}?options=-csearch_path%3D{schema}%2Cpublic");
    AsyncPgConnection::establish(&url).await.unwrap()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    crashes: i32,
    #[diesel(sql_type = Bool)]
    ended: bool,
}

async fn row(database: &mut AsyncPgConnection, query: &str) -> Row {
    diesel::sql_query(query).get_result(database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_panics_is_tried_again_and_dies_and_others_go_on() {
    let crashing = Crashing::new().await;
    let settings = [
        "--start-deadline=10m",
        "--start-wait=200ms",
        "--reconcile-interval=500ms",
    ];
    let _api = crashing.start(Some("panic:after_create_room"), &settings);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let session = fixture.session(false).await;
    let path = fixture.at(&format!("sessions/{}", id(&session)));
    let started = fixture.admin.act(&format!("{path}/start")).await;
    assert_eq!(started.expect(202)["state"], "starting");
    let mut database = database(&crashing).await;
    // Recently died, if it is dead.
    let job = "SELECT crashes, coalesce(dead_at > now() - interval '1 minute', false) AS ended
               FROM jobs WHERE kind = 'session'";
    eventually("it is tried again", async || {
        let row = row(&mut database, job).await;
        assert!(!row.ended);
        (row.crashes > 2).then_some(())
    })
    .await;
    // Others are not delayed.
    let (files, bytes) = (fixture.at("files?name=a.bin"), b"bytes");
    let file = fixture.admin.upload(&files, bytes).await.expect(201);
    let path_of_file = fixture.at(&format!("files/{}", id(&file)));
    fixture.admin.delete(&path_of_file).await.expect(204);
    let left = "SELECT 0 AS crashes, NOT EXISTS (SELECT 1 FROM objects) AS ended";
    eventually("an object is deleted", async || {
        row(&mut database, left).await.ended.then_some(())
    })
    .await;
    ready(&fixture.admin).await;
    let often = "UPDATE jobs SET crashes = 9 WHERE kind = 'session'";
    let dies = async |database: &mut AsyncPgConnection| {
        eventually("it is dead", async || {
            row(database, job).await.ended.then_some(())
        })
        .await;
    };
    database.batch_execute(often).await.unwrap();
    dies(&mut database).await;
    // After an hour it has one more attempt.
    let earlier = "UPDATE jobs SET dead_at = dead_at - interval '2 hours' WHERE kind = 'session'";
    database.batch_execute(earlier).await.unwrap();
    dies(&mut database).await;
    // A new request gives it one more attempt, which here does not panic.
    let stop = json!({ "reason": "enough" });
    fixture.admin.post(&format!("{path}/stop"), &stop).await;
    eventually("it ends", async || {
        let session = fixture.read(&session).await;
        (session["state"] == "ended").then_some(())
    })
    .await;
}

const EVENT: &str = r#"INSERT INTO webhook_events (id, received_at, payload, next_try_at) VALUES
    ('EV_1', now(), '{"id": "EV_1", "event": "room_started", "room": {"name": "r"}}', now())"#;
const CRASHES_OF_EVENT: &str =
    "SELECT crashes, applied_at IS NOT NULL AS ended FROM webhook_events";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_panics_is_left_out_in_the_end() {
    let crashing = Crashing::new().await;
    let mut database = database(&crashing).await;
    database.batch_execute(EVENT).await.unwrap();
    let _api = crashing.start(Some("panic:apply_event"), &[]);
    let postponed = "SELECT crashes, next_try_at > received_at AS ended FROM webhook_events";
    eventually("it is postponed", async || {
        let row = row(&mut database, postponed).await;
        (row.crashes == 1 && row.ended).then_some(())
    })
    .await;
    let often = "UPDATE webhook_events SET crashes = 10, next_try_at = now()";
    database.batch_execute(often).await.unwrap();
    left_out(&crashing, &mut database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_takes_the_process_with_it_is_left_out_in_the_end() {
    let crashing = Crashing::new().await;
    let mut database = database(&crashing).await;
    database.batch_execute(EVENT).await.unwrap();
    for crashes in 1..=10 {
        let mut api = crashing.spawn(Some("apply_event"), &[]);
        assert!(!api.wait().success());
        let known = row(&mut database, CRASHES_OF_EVENT).await;
        assert!(known.crashes == crashes && !known.ended);
    }
    let _api = crashing.start(Some("apply_event"), &[]);
    left_out(&crashing, &mut database).await;
}

async fn left_out(crashing: &Crashing, database: &mut AsyncPgConnection) {
    eventually("it is left out", async || {
        let ended = row(database, CRASHES_OF_EVENT).await.ended;
        ended.then_some(())
    })
    .await;
    ready(&Client::new(&crashing.base(), None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_through_for_a_request_and_panics_is_a_500_and_not_repeated() {
    let upstream = Upstream::start();
    let crashing = Crashing::new().await;
    let allow = "--outbound-allow=127.0.0.0/8";
    let _api = crashing.start(Some("panic:in_tool_call"), &[allow, "--request-timeout=1s"]);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    let spec = json!({
        "kind": "http", "function_name": "look", "description": "Looks.",
        "http": { "method": "GET", "url": format!("{}/order", upstream.url), "timeout_seconds": 1 },
    });
    let named = json!({ "name": "look" });
    let tools = fixture.admin.post(&fixture.at("tools"), &named).await;
    let versions = fixture.at(&format!("tools/{}/versions", id(&tools.expect(201))));
    let spec = json!({ "spec": spec });
    let version = fixture.admin.post(&versions, &spec).await.expect(201);
    let path = format!("{versions}/{}/test", id(&version));
    let keyed = fixture.admin.with_header("idempotency-key", "k");
    let arguments = json!({ "arguments": {} });
    let panicked = keyed.post(&path, &arguments).await;
    panicked.expect_error(500, "internal");
    eventually("its outcome is unknown", async || {
        let again = keyed.post(&path, &arguments).await;
        (again.status == 409 && again.body["code"] == "outcome_unknown").then_some(())
    })
    .await;
    ready(&fixture.admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_extractor_panics_is_a_500() {
    let crashing = Crashing::new().await;
    let api = crashing.start(Some("panic:after_upload"), &["--log=info"]);
    let fixture = Fixture::make(&crashing.base(), "acme").await;
    for n in 0..3 {
        let path = fixture.at("files?name=a.txt");
        let id = format!("upload-{n}");
        let client = fixture.admin.with_header("x-request-id", &id);
        let refused = client.upload(&path, b"a").await;
        assert_eq!(refused.expect_error(500, "internal")["request_id"], *id);
        let log = api.log_of(&id);
        for what in ["panicked", "internal error", "request completed"] {
            let mut lines = log.iter();
            assert!(
                lines.any(|line| line.contains(what)),
                "no `{what}` in {log:#?}"
            );
        }
    }
    ready(&fixture.admin).await;
}

/// An argument that panics when it is extracted, if it is to.
struct Argument<const PANICS: bool>;

impl<const PANICS: bool> FromRequest for Argument<PANICS> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;
    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        let made = async {
            assert!(!PANICS, "a planted fault");
            Ok(Self)
        };
        made.boxed_local()
    }
}

impl<const PANICS: bool> Describe for Argument<PANICS> {
    fn describe(_: &mut Operation) {}
}

async fn in_handler(_: Argument<false>) -> patchbay_service::Result<Deleted> {
    panic!("a planted fault")
}

async fn in_extractor(_: Argument<true>) -> patchbay_service::Result<Deleted> {
    Ok(Deleted)
}

/// A body that panics after its first chunk.
fn body() -> HttpResponse {
    let begun = Ok::<_, std::io::Error>(web::Bytes::from_static(b"half"));
    let parts = stream::unfold(Some(begun), async |next| match next {
        Some(part) => Some((part, None)),
        None => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            panic!("a planted fault")
        }
    });
    HttpResponse::Ok().streaming(Box::pin(parts))
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    settings: patchbay_api::settings::Settings,
}

/// A single-threaded server with the middleware of the service.
async fn panicking_server() -> String {
    let schema = make_schema().await;
    let settings = Cli::parse_from(arguments(&schema, &[])).settings;
    let clock = patchbay_domain::Clock::system();
    let app = patchbay_api::app::App::with_embedder(settings, clock, None).unwrap();
    let app = web::Data::new(app);
    let mut api = Api::default();
    let mut group = api.tag(Tag::Service);
    group.add(
        "/handler",
        in_handler,
        Doc::get("inHandler", "Panic in a handler"),
    );
    group.add(
        "/extractor",
        in_extractor,
        Doc::get("inExtractor", "Panic in an extractor"),
    );
    let router = web::Data::new(api.into_router().unwrap());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(app.clone())
            .app_data(router.clone())
            .wrap(from_fn(envelope))
            .route("/body", web::get().to(async || body()))
            .route("/fine", web::get().to(HttpResponse::Ok))
            .default_service(web::to(answer))
    });
    let server = server.workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", server.addrs()[0]);
    tokio::spawn(server.run());
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_request_ends_that_request_alone() {
    let base = panicking_server().await;
    let get = async |path: &str| reqwest::get(format!("{base}{path}")).await;
    for _ in 0..3 {
        for path in ["/handler", "/extractor"] {
            let answer = get(path).await.unwrap();
            assert_eq!(answer.status(), 500, "{path}");
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "internal");
        }
        let begun = get("/body").await.unwrap();
        assert_eq!(begun.status(), 200);
        assert!(begun.bytes().await.is_err(), "half a body is no whole one");
        assert_eq!(get("/fine").await.unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_the_service_is_nothing_without_have_the_names_they_are_known_by() {
    let crashing = Crashing::new().await;
    let api = crashing.start(None, &[]);
    let client = Client::new(&crashing.base(), None);
    client.get("/health").await.expect(200);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", api.id())).unwrap();
    let names: Vec<_> = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .collect();
    for vital in VITAL {
        // The kernel has the first 15 characters of their names.
        let short: String = vital.chars().take(15).collect();
        assert!(names.iter().any(|name| name.trim() == short), "{names:?}");
    }
}

/// Run by the next test in a separate process.
#[test]
#[ignore = "ends the process"]
fn a_vital_thread_panics_here() {
    patchbay_api::panics::log_panics();
    let thread = std::thread::Builder::new().name(VITAL[0].to_owned());
    let panicked = thread.spawn(|| panic!("a planted fault")).unwrap().join();
    assert!(panicked.is_err());
}

#[test]
fn a_panic_of_a_vital_thread_ends_the_process() {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "panics::a_vital_thread_panics_here",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{ended:?}");
    let words = String::from_utf8_lossy(&ended.stderr);
    assert!(words.contains("essential thread"), "{words}");
}
