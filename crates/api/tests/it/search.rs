//! How well searches find, whom they show what, and by which index.

use std::{collections::BTreeSet, time::Duration};

use diesel_async::SimpleAsyncConnection as _;
use patchbay_domain::{TenantId, knowledge::SearchMode};
use patchbay_persistence::search::{self, Search};
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, environment, eventually, id};

async fn world(more: &[&str]) -> TestApp {
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let mut settings = vec![&*model];
    settings.extend(more);
    TestApp::start_with(&settings).await
}

/// Uploads these texts and waits until all of them can be found; their ids.
async fn ingest_all(
    fixture: &Fixture,
    texts: impl IntoIterator<Item = (String, String)>,
) -> Vec<String> {
    let mut ids = Vec::new();
    for (name, text) in texts {
        let path = fixture.at(&format!("files?name={name}&ingest=true"));
        let file = fixture
            .admin
            .upload(&path, text.as_bytes())
            .await
            .expect(201);
        ids.push(id(&file));
    }
    let pending = fixture.at("files?limit=100");
    eventually("all are ingested", Duration::from_secs(60), async || {
        let page = fixture.admin.get(&pending).await.expect(200);
        let all = page["data"].as_array().unwrap();
        all.iter()
            .all(|file| file["ingest"]["state"] == "done")
            .then_some(())
    })
    .await;
    ids
}

async fn hits(fixture: &Fixture, body: &Value) -> Vec<Value> {
    let found = fixture
        .admin
        .post(&fixture.at("search"), body)
        .await
        .expect(200);
    found["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_find_their_passage_among_the_first_five() {
    let corpus: Value = serde_json::from_str(include_str!("corpus/workshop.json")).unwrap();
    let app = world(&["--chunk-tokens=24", "--chunk-overlap=0"]).await;
    let fixture = app.tenant("acme").await;
    let documents = corpus["documents"].as_object().unwrap().iter();
    let documents = documents.map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned()));
    ingest_all(&fixture, documents).await;
    let questions = corpus["questions"].as_array().unwrap();
    assert!(questions.len() >= 60);
    let mut shares = Vec::new();
    for mode in ["semantic", "keyword", "hybrid"] {
        let mut found = 0;
        for question in questions {
            let body = json!({ "query": question["question"], "mode": mode, "limit": 5 });
            let answer = question["answer"].as_str().unwrap();
            let has_it = |hit: &Value| hit["text"].as_str().unwrap().contains(answer);
            found += usize::from(hits(&fixture, &body).await.iter().any(has_it));
        }
        let share = found as f64 / questions.len() as f64;
        println!("hit@5, {mode}: {share:.3} ({found} of {})", questions.len());
        shares.push(share);
    }
    let [semantic, keyword, hybrid] = shares[..] else {
        unreachable!()
    };
    assert!(
        semantic >= 0.9 && keyword >= 0.3 && hybrid >= 0.9,
        "{shares:?}"
    );
    assert!(
        hybrid + 0.02 >= semantic.max(keyword),
        "hybrid is not worse than either: {shares:?}"
    );
}

/// Random enough, and the same each time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_shows_what_is_attached_and_nobody_elses() {
    let app = world(&[]).await;
    let mut tenants = Vec::new();
    for slug in ["one", "two", "three"] {
        let fixture = app.tenant(slug).await;
        let text = |n: usize| format!("The secret of {slug} number {n} is kept in the cellar.");
        let files = ingest_all(&fixture, (0..4).map(|n| (format!("{n}.txt"), text(n)))).await;
        tenants.push((fixture, files, BTreeSet::new()));
    }
    let mut dice = Dice(7);
    for _ in 0..40 {
        let who = dice.throw(3) as usize;
        let (fixture, files, attached) = &mut tenants[who];
        let file = files[dice.throw(4) as usize].clone();
        let path = fixture.at(&format!("agents/{}/files", fixture.agent));
        if attached.remove(&file) {
            fixture
                .admin
                .delete(&format!("{path}/{file}"))
                .await
                .expect(204);
        } else {
            fixture
                .admin
                .post(&path, &json!({ "file_ids": [file] }))
                .await
                .expect(200);
            attached.insert(file);
        }
        let (fixture, files, attached) = &tenants[dice.throw(3) as usize];
        let mode = ["hybrid", "semantic", "keyword"][dice.throw(3) as usize];
        let question = json!({ "query": "the secret in the cellar", "mode": mode, "limit": 50 });
        let seen = |hits: Vec<Value>| -> BTreeSet<String> {
            hits.iter()
                .map(|hit| hit["file_id"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            seen(hits(fixture, &question).await),
            files.iter().cloned().collect()
        );
        let mut of_agent = question.clone();
        of_agent["agent_id"] = json!(fixture.agent);
        assert_eq!(&seen(hits(fixture, &of_agent).await), attached, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_searching_uses_its_index() {
    let app = world(&[]).await;
    let (ours, theirs) = (app.tenant("ours").await, app.tenant("theirs").await);
    let text = |what: &str| (format!("{what}.txt"), format!("The {what} sleeps."));
    let file = ingest_all(&ours, [text("zebra")]).await.remove(0);
    let full = ingest_all(&theirs, [text("horse")]).await.remove(0);
    let mut owner = app.connect("DATABASE_OWNER_URL").await;
    let fill = |file: &str, count: u32| {
        format!(
            "INSERT INTO chunks (tenant_id, file_id, generation, ordinal, headings, starts_at, ends_at, tokens, model, embedding, words, text)
             SELECT tenant_id, file_id, generation, n, headings, 0, 1, 1, model, embedding,
                    to_tsvector('english', CASE WHEN n % 1000 = 0 THEN 'zebra' ELSE 'horse' END)
                        || array_to_tsvector(ARRAY['tenant' || replace(tenant_id::text, '-', '')]), 'x'
             FROM chunks, generate_series(1, {count}) AS n WHERE file_id = '{file}' AND ordinal = 0;"
        )
    };
    let fill = fill(&file, 4_000) + &fill(&full, 40_000) + "ANALYZE chunks";
    owner.batch_execute(&fill).await.unwrap();
    let tenant: TenantId = ours.tenant.parse().unwrap();
    let embedder = app.server.app.embedder.as_ref().unwrap();
    for (mode, index) in [
        (SearchMode::Keyword, "chunks_words"),
        (SearchMode::Semantic, "chunks_pkey"),
    ] {
        let search = Search {
            mode,
            query: "zebra".to_owned(),
            embedding: Some(
                embedder
                    .embed(vec!["zebra".to_owned()], patchbay_vectors::Purpose::Query)
                    .await
                    .unwrap()
                    .remove(0),
            ),
            model: embedder.model().name.clone(),
            language: "english".to_owned(),
            agent_id: None,
            file_ids: None,
            metadata: None,
            limit: 5,
            min_score: 0.0,
            highlight: false,
        };
        let mut tx = app.server.app.db.begin(tenant).await.unwrap();
        let plan = search::plan(&mut tx, &search).await.unwrap().join("\n");
        tx.finish();
        assert!(plan.contains(index), "{mode:?}:\n{plan}");
        assert!(!plan.contains("Seq Scan on chunks"), "{plan}");
    }
    let found = hits(
        &ours,
        &json!({ "query": "zebra", "mode": "keyword", "limit": 100 }),
    )
    .await;
    assert_eq!((found.len(), &found[0]["file_id"]), (5, &json!(file)));
}
