//! Files: upload, deduplication, metadata, download and deletion.

use std::path::PathBuf;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Fixture, S3, StoreFault, TestApp, environment, eventually, id};

/// The objects in the app's store.
fn stored(app: &TestApp) -> Vec<String> {
    fn visit(folder: PathBuf, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(path, found);
            } else {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    let folder = format!("{}/{}-objects", environment("FOLDER"), app.schema());
    visit(folder.into(), &mut found);
    found
}

async fn upload(fixture: &Fixture, query: &str, bytes: &[u8]) -> Value {
    let path = fixture.at(&format!("files{query}"));
    fixture.admin.upload(&path, bytes).await.expect(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_is_told_about_and_comes_out() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let file = upload(
        &fixture,
        "?name=notes.md&metadata=%7B%22year%22%3A2026%7D",
        b"# Notes\n\nHello.",
    )
    .await;
    assert_eq!(
        (&file["name"], &file["media_type"], &file["size_bytes"]),
        (&json!("notes.md"), &json!("text/markdown"), &json!(15))
    );
    assert_eq!(file["metadata"]["year"], 2026);
    assert_eq!(file["ingest"], Value::Null);
    let path = fixture.at(&format!("files/{}", id(&file)));
    assert_eq!(fixture.admin.get(&path).await.expect(200), file);
    let patch = json!({ "name": "renamed.md", "metadata": { "month": 11 } });
    let stale = fixture.admin.with_header("if-match", "\"7\"");
    stale
        .patch(&path, &patch)
        .await
        .expect_error(412, "precondition_failed");
    let patched = fixture.admin.patch(&path, &patch).await.expect(200);
    assert_eq!(patched["metadata"], json!({ "year": 2026, "month": 11 }));
    let found = fixture.at("files?name=RENAMED&media_type=text/markdown");
    let found = fixture.admin.get(&found).await.expect(200);
    assert_eq!(found["data"], json!([patched]));

    let content = format!("{path}/content");
    let whole = fixture.admin.get(&content).await;
    assert_eq!(
        whole.header("content-disposition"),
        "attachment; filename*=UTF-8''renamed%2Emd"
    );
    assert_eq!(whole.header("content-length"), "15");
    let etag = whole.header("etag").to_owned();
    assert_eq!(whole.expect(200), "# Notes\n\nHello.");
    let part = fixture
        .admin
        .with_header("range", "bytes=2-6")
        .get(&content)
        .await;
    assert_eq!(part.header("content-range"), "bytes 2-6/15");
    assert_eq!(part.expect(206), "Notes");
    let huge = "bytes=13-99999999999999999999999";
    for (odd, status) in [(huge, 206), ("bytes=+2-+6", 200)] {
        let answer = fixture.admin.with_header("range", odd).get(&content).await;
        answer.expect(status);
    }
    let beyond = fixture
        .admin
        .with_header("range", "bytes=15-")
        .get(&content)
        .await;
    assert_eq!(beyond.header("content-range"), "bytes */15");
    beyond.expect_error(416, "range_not_satisfiable");
    let known = fixture
        .admin
        .with_header("if-none-match", &etag)
        .get(&content)
        .await;
    known.expect(304);
    let changed = fixture.admin.with_header("range", "bytes=2-6");
    let changed = changed
        .with_header("if-range", "\"other\"")
        .get(&content)
        .await;
    changed.expect(200);

    fixture.admin.delete(&path).await.expect(204);
    fixture
        .admin
        .get(&path)
        .await
        .expect_error(404, "not_found");
    eventually("its bytes are gone", async || {
        stored(&app).is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_taken_in_any_order_and_refused_where_it_is_wrong() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let part = |disposition: &str, value: &str| {
        format!("--b\r\ncontent-disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
    };
    let file = part("name=\"file\"; filename=\"docs/a.csv\"", "a;b\n1;2\n");
    let meta = part("name=\"metadata\"", "{\"k\": 1}");
    let send = async |parts: &[&str]| {
        let body = format!("{}--b--\r\n", parts.concat());
        let typed = fixture
            .admin
            .with_header("content-type", "multipart/form-data; boundary=b");
        typed
            .send(Method::POST, &fixture.at("files"), Some(body.into_bytes()))
            .await
    };
    for parts in [[&*file, &*meta], [&*meta, &*file]] {
        let made = send(&parts).await.expect(201);
        assert_eq!(
            (&made["name"], &made["media_type"], &made["metadata"]),
            (&json!("a.csv"), &json!("text/csv"), &json!({ "k": 1 }))
        );
    }
    let named = send(&[&file, &part("name=\"name\"", "b.csv")])
        .await
        .expect(201);
    assert_eq!(named["name"], "b.csv");
    for (parts, pointer) in [
        (vec![&*meta], "/file"),
        (vec![&*file, &file], "/file"),
        (
            vec![
                &*file,
                "--b\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n\r\n",
            ],
            "/x",
        ),
    ] {
        let refused = send(&parts).await;
        assert_eq!(refused.violations()[0].0, pointer);
    }
    // What is sent in place of a `Blob` by a client that cannot send one is not stored as a file.
    let json = fixture
        .admin
        .with_header("content-type", "Application/JSON; charset=utf-8");
    let sent = json.post(&fixture.at("files"), &json!({})).await;
    sent.expect_error(415, "unsupported_media_type");
    let flagged = send(&[&file, &part("name=\"ingest\"", "yes")]).await;
    assert_eq!(flagged.violations()[0].0, "/ingest");
    let wrong = fixture.at("files?metadata=%5B%5D");
    let refused = fixture.admin.upload(&wrong, b"x").await;
    assert_eq!(refused.violations()[0].0, "/metadata");
    // The same content is stored once, and nothing is left of refused uploads.
    eventually("one is left", async || {
        (stored(&app).len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_kept_once_in_a_tenant_until_the_last_file_goes() {
    let app = TestApp::start().await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let one = upload(&ours, "?name=one.txt", b"the same").await;
    let two = upload(&ours, "?name=two.txt", b"the same").await;
    upload(&theirs, "?name=three.txt", b"the same").await;
    assert_eq!(
        (&one["sha256"], one["id"] != two["id"]),
        (&two["sha256"], true)
    );
    let left = async |count: usize| {
        eventually("so many objects", async || {
            (stored(&app).len() == count).then_some(())
        })
        .await;
    };
    left(2).await;
    let by_digest = ours.at(&format!("files?sha256={}", one["sha256"].as_str().unwrap()));
    let found = ours.admin.get(&by_digest).await.expect(200);
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    let path = |file: &Value| ours.at(&format!("files/{}", id(file)));
    ours.admin.delete(&path(&one)).await.expect(204);
    let content = format!("{}/content", path(&two));
    assert_eq!(ours.admin.get(&content).await.expect(200), "the same");
    ours.admin.delete(&path(&two)).await.expect(204);
    left(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_store_has_lost_come_back_with_an_equal_upload() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let lost = upload(&fixture, "?name=lost.txt", b"the same").await;
    let (folder, schema) = (environment("FOLDER"), app.schema());
    let objects = format!("{folder}/{schema}-objects/{schema}/{}", fixture.tenant);
    std::fs::remove_dir_all(objects).unwrap();
    let content = async |file: &Value| {
        let path = fixture.at(&format!("files/{}/content", id(file)));
        fixture.admin.get(&path).await
    };
    content(&lost).await.expect_error(503, "unavailable");
    let again = upload(&fixture, "?name=again.txt", b"the same").await;
    for file in [&lost, &again] {
        assert_eq!(content(file).await.expect(200), "the same");
    }
    eventually("one object is left", async || {
        (stored(&app).len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_happens_once_and_a_large_one_leaves_nothing() {
    let app = TestApp::start_with(&["--upload-limit=20000000"]).await;
    let fixture = app.tenant("acme").await;
    let keyed = fixture.admin.with_header("idempotency-key", "k");
    let path = fixture.at("files?name=a.txt");
    let first = keyed.upload(&path, b"once").await.expect(201);
    let again = keyed.upload(&path, b"once").await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.expect(201), first);
    keyed
        .upload(&path, b"twice")
        .await
        .expect_error(422, "idempotency_key_reused");
    // Larger than one part.
    let large = vec![b'x'; 19_000_000];
    let file = upload(&fixture, "?name=large.bin", &large).await;
    assert_eq!(file["size_bytes"], 19_000_000);
    let refused = fixture.admin.upload(&path, &vec![b'x'; 20_000_001]).await;
    refused.expect_error(413, "body_too_large");
    eventually("two objects are left", async || {
        (stored(&app).len() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_recorded_is_deleted() {
    let settings = ["--purge-interval=200ms", "--upload-timeout=1s"];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    upload(&fixture, "?name=kept.txt", b"kept").await;
    let folder = format!("{}/{}-objects", environment("FOLDER"), app.schema());
    let stray = format!(
        "{folder}/{}/{}/01a20a81-0000-7000-8000-000000000000",
        app.schema(),
        fixture.tenant
    );
    std::fs::write(&stray, "stray").unwrap();
    // A file of another installation in a shared folder.
    std::fs::write(format!("{folder}/readme"), "foreign").unwrap();
    eventually("the stray is gone", async || {
        (!std::fs::exists(&stray).unwrap()).then_some(())
    })
    .await;
    let left = stored(&app);
    assert!(
        left.len() == 2 && left.contains(&"readme".to_owned()),
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_or_a_model_that_is_said() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let file = upload(&fixture, "?name=a.txt", b"a").await;
    let ingest = fixture.at(&format!("files/{}/ingest", id(&file)));
    fixture
        .admin
        .act(&ingest)
        .await
        .expect_error(409, "embeddings_not_configured");
    let path = fixture.at("files?name=a.txt&ingest=true");
    let refused = fixture.admin.upload(&path, b"b").await;
    refused.expect_error(409, "embeddings_not_configured");
    let list = fixture.admin.get(&fixture.at("files")).await.expect(200);
    assert_eq!(
        list["data"].as_array().unwrap().len(),
        1,
        "and no file is made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_serves_as_well_and_its_faults_are_told() {
    let s3 = S3::start().await;
    let endpoint = format!("--s3-endpoint={}", s3.url);
    let settings = [
        &*endpoint,
        "--s3-bucket=files",
        "--s3-access-key-id=k",
        "--s3-secret-access-key=s",
        "--storage-timeout=4s",
        "--upload-timeout=8s",
    ];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    let path = fixture.at("files?name=a.bin");
    // In a single request, and in parts.
    for size in [3, 18_000_000] {
        let bytes = vec![b'x'; size];
        let file = fixture.admin.upload(&path, &bytes).await.expect(201);
        let content = fixture.at(&format!("files/{}/content", id(&file)));
        let part = fixture
            .admin
            .with_header("range", "bytes=-2")
            .get(&content)
            .await;
        assert_eq!(part.expect(206), "xx");
        let whole = fixture.admin.get(&content).await.expect(200);
        assert_eq!(whole.as_str().unwrap().len(), size);
        fixture
            .admin
            .delete(&fixture.at(&format!("files/{}", id(&file))))
            .await
            .expect(204);
    }
    let kept = fixture.admin.upload(&path, b"kept").await.expect(201);
    let content = fixture.at(&format!("files/{}/content", id(&kept)));
    for fault in [StoreFault::ServerError, StoreFault::NoResponse] {
        s3.set_fault(fault);
        let refused = fixture.admin.upload(&path, &vec![b'y'; 9_000_000]).await;
        refused.expect_error(503, "unavailable");
        fixture
            .admin
            .get(&content)
            .await
            .expect_error(503, "unavailable");
        s3.set_fault(StoreFault::None);
        assert_eq!(fixture.admin.get(&content).await.expect(200), "kept");
    }
    let list = fixture.admin.get(&fixture.at("files")).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    eventually("one object and no upload is left", async || {
        let objects = s3
            .query_bucket("list-type=2")
            .await
            .matches("<Key>")
            .count();
        let uploads = s3
            .query_bucket("uploads")
            .await
            .matches("<UploadId>")
            .count();
        (objects == 1 && uploads == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_file_is_not_taken_for_the_whole() {
    let s3 = S3::start().await;
    let endpoint = format!("--s3-endpoint={}", s3.url);
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let settings = [
        &*endpoint,
        &*model,
        "--s3-bucket=files",
        "--s3-access-key-id=k",
        "--s3-secret-access-key=s",
        "--storage-timeout=1s",
    ];
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    let file = upload(
        &fixture,
        "?name=a.txt",
        "One sentence. ".repeat(200).as_bytes(),
    )
    .await;
    s3.set_fault(StoreFault::CutDownload);
    let path = fixture.at(&format!("files/{}", id(&file)));
    fixture
        .admin
        .act(&format!("{path}/ingest"))
        .await
        .expect(202);
    let status = async |test: &dyn Fn(&Value) -> bool| {
        eventually("the status", async || {
            let status = fixture
                .admin
                .get(&format!("{path}/status"))
                .await
                .expect(200);
            test(&status).then_some(status)
        })
        .await
    };
    let waiting = status(&|status| status["error"].is_object()).await;
    assert_eq!(
        (&waiting["state"], &waiting["error"]["code"]),
        (&json!("running"), &Value::Null)
    );
    let words = waiting["error"]["message"].as_str().unwrap();
    assert!(!words.contains("127.0.0.1"), "{words}");
    s3.set_fault(StoreFault::None);
    let done = status(&|status| status["finished_at"].is_string()).await;
    assert_eq!(done["state"], "done", "{done}");
    let chunks = fixture
        .admin
        .get(&format!("{path}/chunks?limit=100"))
        .await
        .expect(200);
    let end = chunks["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["end_offset"].as_u64().unwrap())
        .max();
    assert_eq!(end, Some(200 * 14 - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_bytes_that_come_at_once_are_kept_once() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let uploads = (0..8).map(|n| {
        let (admin, path) = (
            fixture.admin.clone(),
            fixture.at(&format!("files?name={n}.txt")),
        );
        async move { admin.upload(&path, b"the same").await.status.as_u16() }
    });
    assert_eq!(join_all(uploads).await, [201; 8]);
    eventually("one is left", async || {
        (stored(&app).len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_keeps_no_more_bytes_than_its_operator_allows() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let limits = json!({ "limits": { "file_megabytes": 1 } });
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    app.operator().patch(&tenant, &limits).await.expect(200);
    let uploads = (0..6_u8).map(|n| {
        let (admin, path) = (fixture.admin.clone(), fixture.at("files?name=a.bin"));
        async move { admin.upload(&path, &vec![n; 300_000]).await.status.as_u16() }
    });
    let mut statuses = join_all(uploads).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 409, 409, 409]);
    let path = fixture.at("files?name=a.bin");
    let refused = fixture.admin.upload(&path, &[9; 300_000]).await;
    refused.expect_error(409, "file_limit_reached");
    fixture.admin.upload(&path, b"small").await.expect(201);
    eventually("no bytes are left over", async || {
        (stored(&app).len() == 4).then_some(())
    })
    .await;
}
