//! Embeddings of an OpenAI-compatible provider.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Fixture, Provider, ProviderFault, TestApp, eventually, id, model};

const KEY: &str = "sk-somebody-pays-for-this";

async fn world(more: &[&str]) -> (TestApp, Fixture, Provider) {
    let provider = Provider::start(model());
    let url = format!("--embedding-url={}", provider.url);
    let key = format!("--embedding-key={KEY}");
    let mut settings = vec![
        &*url,
        &*key,
        "--embedding-model=small-3",
        "--embedding-timeout=3s",
    ];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    (app, fixture, provider)
}

/// Uploads a text and waits until its ingest has ended.
async fn ingest(fixture: &Fixture, text: &str) -> (Value, Value) {
    let path = fixture.at("files?name=a.txt&ingest=true");
    let file = fixture
        .admin
        .upload(&path, text.as_bytes())
        .await
        .expect(201);
    let path = fixture.at(&format!("files/{}/status", id(&file)));
    let status = eventually("the ingest ends", async || {
        let status = fixture.admin.get(&path).await.expect(200);
        status["finished_at"].is_string().then_some(status)
    });
    let status = status.await;
    (file, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_bad_days_still_embeds_each_chunk_once() {
    let (_app, fixture, provider) = world(&["--chunk-tokens=32", "--chunk-overlap=0"]).await;
    provider.inject(&[
        ProviderFault::RateLimited,
        ProviderFault::ServerError,
        ProviderFault::NotJson,
        ProviderFault::ConnectionCut,
        ProviderFault::NoResponse,
    ]);
    let filler = "Wheels turn and the road goes on for a while, past mills. ".repeat(60);
    let text = format!("{filler} The workshop opens at nine in the morning. {filler}");
    let (file, status) = ingest(&fixture, &text).await;
    assert_eq!(
        (&status["state"], &status["model"]),
        (&json!("done"), &json!("openai/small-3"))
    );
    let chunks = status["chunks"].as_u64().unwrap();
    assert!(chunks > 32, "several requests are needed for {chunks}");
    let path = fixture.at(&format!("files/{}/chunks?limit=100", id(&file)));
    let listed = fixture.admin.get(&path).await.expect(200);
    let listed = listed["data"].as_array().unwrap().iter();
    let ordinals: Vec<_> = listed
        .map(|chunk| chunk["ordinal"].as_u64().unwrap())
        .collect();
    assert_eq!(ordinals, (0..chunks).collect::<Vec<_>>());
    for request in &provider.requests() {
        assert_eq!(
            (&request["key"], &request["model"]),
            (&json!(format!("Bearer {KEY}")), &json!("small-3"))
        );
    }
    let question =
        json!({ "query": "When does the workshop open?", "mode": "semantic", "limit": 100 });
    let found = fixture
        .admin
        .post(&fixture.at("search"), &question)
        .await
        .expect(200);
    assert!(
        found["data"][0]["text"]
            .as_str()
            .unwrap()
            .contains("opens at nine"),
        "{found}"
    );
    assert_eq!(found["total_candidates"], chunks);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_refuses_is_said_without_its_words() {
    let (_app, fixture, provider) = world(&[]).await;
    for fault in [ProviderFault::Unauthorized, ProviderFault::OneMissing] {
        provider.inject(&[fault]);
        let (_, status) = ingest(&fixture, &format!("{fault:?}")).await;
        assert_eq!(
            (&status["state"], &status["error"]["code"]),
            (&json!("failed"), &json!("embedding_refused")),
            "{status}"
        );
        assert!(!status.to_string().contains(KEY), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_searches_does_not_wait_for_a_provider_for_long() {
    let (_app, fixture, provider) = world(&[]).await;
    ingest(&fixture, "The workshop opens at nine.").await;
    for fault in [
        ProviderFault::NoResponse,
        ProviderFault::RateLimited,
        ProviderFault::Unauthorized,
    ] {
        provider.inject(&[fault]);
        let began = Instant::now();
        let question = json!({ "query": "workshop", "mode": "hybrid" });
        let refused = fixture.admin.post(&fixture.at("search"), &question).await;
        let problem = refused.expect_error(503, "unavailable");
        assert!(!problem.to_string().contains(KEY), "{problem}");
        assert!(began.elapsed() < Duration::from_secs(6), "{fault:?}");
    }
    let question = json!({ "query": "workshop", "mode": "keyword" });
    let found = fixture
        .admin
        .post(&fixture.at("search"), &question)
        .await
        .expect(200);
    assert_eq!(
        found["data"].as_array().unwrap().len(),
        1,
        "words need no provider"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_old_model_are_listed_and_seen_again_after_an_ingest() {
    let (mut app, fixture, provider) = world(&[]).await;
    let (file, _) = ingest(&fixture, "The workshop opens at nine.").await;
    let (url, key) = (
        format!("--embedding-url={}", provider.url),
        format!("--embedding-key={KEY}"),
    );
    app.restart_with(&[&url, &key, "--embedding-model=large-3"])
        .await;
    let admin = app.with_key(&fixture.key);
    let listed = async |embeddings: &str| {
        let path = fixture.at(&format!("files?embeddings={embeddings}"));
        let page = admin.get(&path).await.expect(200);
        let files = page["data"].as_array().unwrap().iter();
        files.map(|file| file["id"].clone()).collect::<Vec<_>>()
    };
    let candidates = async |mode: &str| {
        let question = json!({ "query": "workshop", "mode": mode });
        let found = admin
            .post(&fixture.at("search"), &question)
            .await
            .expect(200);
        (
            found["total_candidates"].clone(),
            found["data"].as_array().unwrap().len(),
        )
    };
    assert_eq!(
        (listed("outdated").await, listed("current").await),
        (vec![file["id"].clone()], vec![])
    );
    assert_eq!(candidates("semantic").await, (json!(0), 0));
    let by_words = candidates("hybrid").await;
    assert_eq!(by_words, (json!(1), 1), "words are those of any model");
    admin
        .act(&fixture.at(&format!("files/{}/ingest", id(&file))))
        .await
        .expect(202);
    eventually("it is up to date", async || {
        (listed("current").await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(listed("outdated").await, Vec::<Value>::new());
    assert_eq!(candidates("semantic").await, (json!(1), 1));
}

/// The state of each thread of the model, in the fields of `/proc/…/stat` after the name.
fn model_threads() -> Vec<Vec<String>> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let stats =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let ours = stats.filter(|stat| stat.contains("(embedding-model)"));
    ours.map(|stat| {
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        fields.split(' ').map(str::to_owned).collect()
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_embedded_by_threads_that_stand_back_but_get_their_share() {
    model();
    let threads = eventually("the threads have their priority", async || {
        let threads = model_threads();
        let nice: Vec<_> = threads.iter().map(|fields| &*fields[16]).collect();
        (nice.contains(&"5") && nice.contains(&"0")).then_some(threads)
    })
    .await;
    // The idle policy has number 5: such a thread would run only while nobody wants the processor.
    assert!(
        threads.iter().all(|fields| fields[38] == "0"),
        "{threads:?}"
    );
}
