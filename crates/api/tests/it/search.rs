//! Search: quality, isolation of tenants, and use of the index.

use std::collections::BTreeSet;

use diesel_async::SimpleAsyncConnection as _;
use patchbay_domain::{TenantId, knowledge::SearchMode};
use patchbay_persistence::{
    hnsw::{self, Step},
    search::{self, Search},
};
use patchbay_vectors::Purpose;
use serde_json::{Value, json};

use super::support::{Fixture, TestApp, environment, eventually, id};

async fn world(more: &[&str]) -> TestApp {
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let mut settings = vec![&*model];
    settings.extend(more);
    TestApp::start_with(&settings).await
}

/// Uploads these texts and waits until they are searchable; returns their ids.
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
    eventually("all are ingested", async || {
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

/// A reproducible pseudo-random generator.
struct Random(u64);

impl Random {
    fn below(&mut self, sides: u64) -> u64 {
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
    let mut dice = Random(7);
    for _ in 0..40 {
        let who = dice.below(3) as usize;
        let (fixture, files, attached) = &mut tenants[who];
        let file = files[dice.below(4) as usize].clone();
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
        let (fixture, files, attached) = &tenants[dice.below(3) as usize];
        let mode = ["hybrid", "semantic", "keyword"][dice.below(3) as usize];
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

/// The query plan of a search for a zebra, in all files or in one.
async fn plan(app: &TestApp, fixture: &Fixture, mode: SearchMode, file: Option<&str>) -> String {
    let embedder = app.server.app.service.embedder.as_ref().unwrap();
    let texts = vec!["zebra".to_owned()];
    let mut embeddings = embedder.embed(texts, Purpose::Query).await.unwrap();
    let tenant: TenantId = fixture.tenant.parse().unwrap();
    let mut tx = app.server.app.service.db.begin(tenant).await.unwrap();
    let model = embedder.model().name.clone();
    let context = search::load_context(&mut tx, &model)
        .await
        .unwrap()
        .unwrap();
    let index = &app.server.app.settings.service.knowledge.index;
    let search = Search {
        mode,
        query: "zebra".to_owned(),
        embedding: embeddings.pop(),
        model,
        language: "english".to_owned(),
        agent_id: None,
        file_ids: file.map(|file| vec![file.parse().unwrap()]),
        metadata: None,
        limit: 5,
        min_score: 0.0,
        highlight: false,
        is_indexed: context.is_indexed,
        exact_most: index.search_exact_chunks,
        max_scan: index.search_max_scan,
    };
    let plan = search::plan(&mut tx, &search).await.unwrap().join("\n");
    tx.finish();
    plan
}

/// Runs the owner's index maintenance with this threshold.
async fn maintain(app: &TestApp, most: i64) -> Vec<Step> {
    let mut steps = Vec::new();
    let url = app.url("DATABASE_OWNER_URL");
    let outcome = hnsw::maintain(&url, most, |step| steps.push(step)).await;
    outcome.unwrap();
    steps
}

/// Topics of queries and of the chunks around them.
const THINGS: [&str; 6] = ["zebra", "harbour", "violin", "bread", "comet", "ladder"];

/// Fills a file with chunks whose embeddings are near the first chunk of one of these.
fn crowd(file: &str, around: &[String], count: usize) -> String {
    crowd_within(0.14, file, around, count)
}

/// The same, at most this far away in each dimension.
fn crowd_within(spread: f64, file: &str, around: &[String], count: usize) -> String {
    let around: Vec<_> = around.iter().map(|id| format!("'{id}'")).collect();
    format!(
        "INSERT INTO chunks (tenant_id, file_id, generation, ordinal, headings, starts_at, ends_at, tokens, model, embedding, words, text)
         SELECT c.tenant_id, '{file}', 1, n, c.headings, 0, 1, 1, c.model,
                (SELECT array_agg(x + (random() - 0.5) * {spread}) FROM unnest(c.embedding::vector::real[]) AS x WHERE n > 0)::vector::halfvec,
                c.words, c.text
         FROM generate_series(1, {count}) AS n
         JOIN chunks c ON c.file_id = (ARRAY[{}]::uuid[])[1 + n % {}] AND c.ordinal = 0;
         SELECT set_config('app.tenant_id', tenant_id::text, false) FROM chunks WHERE file_id = '{file}' LIMIT 1;
         UPDATE ingests SET chunks = {count} + 1 WHERE file_id = '{file}';
         ANALYZE chunks",
        around.join(", "),
        around.len(),
    )
}

async fn answers(fixture: &Fixture) -> Vec<Vec<Value>> {
    let mut answers = Vec::new();
    for thing in THINGS {
        let question = json!({ "query": format!("Where is the {thing}?"), "mode": "semantic" });
        let hits = hits(fixture, &question).await;
        answers.push(
            hits.into_iter()
                .map(|hit| hit["chunk_id"].clone())
                .collect(),
        );
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn many_chunks_are_found_by_an_index_of_their_tenant() {
    let app = world(&["--search-exact-chunks=500"]).await;
    let (big, small) = (app.tenant("big").await, app.tenant("small").await);
    let text = |thing: &str| (format!("{thing}.txt"), format!("Where is the {thing}?"));
    let files = ingest_all(&big, THINGS.map(text)).await;
    ingest_all(&small, THINGS.map(text)).await;
    let mut owner = app.connect("DATABASE_OWNER_URL").await;
    let fill = crowd(&files[0], &files, 4_000) + ";" + &crowd(&files[1], &files, 2_000);
    owner.batch_execute(&fill).await.unwrap();
    let exact = answers(&big).await;
    let before = plan(&app, &big, SearchMode::Semantic, None).await;
    assert!(before.contains("chunks_pkey"), "{before}");

    let tenant: TenantId = big.tenant.parse().unwrap();
    // An agent with a third of the files, exactly and then with the index.
    let known = json!({ "file_ids": files[1..] });
    let path = big.at(&format!("agents/{}/files", big.agent));
    big.admin.post(&path, &known).await.expect(200);
    let of_agent =
        json!({ "query": "Where is the ladder?", "mode": "semantic", "agent_id": big.agent });
    let exact_of_agent = hits(&big, &of_agent).await;

    assert_eq!(maintain(&app, 500).await, [Step::Making(tenant, 6_006)]);
    assert_eq!(maintain(&app, 500).await, []);
    for mode in [SearchMode::Semantic, SearchMode::Hybrid] {
        let by_index = plan(&app, &big, mode, None).await;
        assert!(by_index.contains("chunks_hnsw_"), "{mode:?}:\n{by_index}");
    }
    let indexed = answers(&big).await;
    assert_eq!(indexed, answers(&big).await, "always the same order");
    let pairs = exact.iter().zip(&indexed);
    let same = pairs.map(|(exact, indexed)| exact.iter().filter(|id| indexed.contains(id)).count());
    assert!(same.sum::<usize>() >= 59, "of 60: {exact:?} {indexed:?}");

    let indexed_of_agent = hits(&big, &of_agent).await;
    let found = indexed_of_agent
        .iter()
        .filter(|hit| exact_of_agent.contains(hit))
        .count();
    assert!(found >= 9, "of 10: {exact_of_agent:?} {indexed_of_agent:?}");
    assert!(
        indexed_of_agent
            .iter()
            .all(|hit| hit["file_id"] != files[0])
    );

    let of_few = plan(&app, &big, SearchMode::Semantic, Some(&files[2])).await;
    assert!(
        !of_few.contains("chunks_hnsw_"),
        "few files are compared: {of_few}"
    );
    let question = json!({ "query": "zebra", "mode": "semantic", "file_ids": [files[2]] });
    assert_eq!(hits(&big, &question).await.len(), 1);

    // An index of another model is rebuilt, a failure is reported, and a tenant with too few chunks loses its
    // index.
    let owner = |sql: &'static str| async {
        let mut owner = app.connect("DATABASE_OWNER_URL").await;
        owner.batch_execute(sql).await.unwrap();
    };
    owner("UPDATE chunks SET model = 'another'").await;
    let steps = maintain(&app, 500).await;
    assert!(
        matches!(&*steps, [Step::Dropped(_), Step::Making(..)]),
        "{steps:?}"
    );
    owner("UPDATE chunks SET model = 'third', embedding = CASE WHEN ordinal = 7 THEN '[1,2]' ELSE embedding END").await;
    let steps = maintain(&app, 500).await;
    assert!(
        matches!(
            &*steps,
            [Step::Dropped(_), Step::Making(..), Step::Failed(..)]
        ),
        "{steps:?}"
    );
    owner("UPDATE chunks SET model = 'fourth' WHERE ordinal <> 7").await;
    let steps = maintain(&app, 500).await;
    assert!(matches!(&*steps, [Step::Making(..)]), "{steps:?}");
    let steps = maintain(&app, 20_000).await;
    assert!(matches!(&*steps, [Step::Dropped(_)]), "{steps:?}");
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
    for (mode, index) in [
        (SearchMode::Keyword, "chunks_words"),
        (SearchMode::Semantic, "chunks_pkey"),
    ] {
        let plan = plan(&app, &ours, mode, None).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_search_whose_index_gives_up_compares_all_candidates() {
    let app = world(&["--search-exact-chunks=500", "--search-max-scan=1"]).await;
    let fixture = app.tenant("acme").await;
    let text = |thing: &str| (format!("{thing}.txt"), format!("Where is the {thing}?"));
    let files = ingest_all(&fixture, THINGS.map(text)).await;
    let mut owner = app.connect("DATABASE_OWNER_URL").await;
    // What is nearest is nearly all in the first file, and it is searched for in the others.
    let fill = [
        crowd_within(0.01, &files[0], &files[..1], 4_000),
        crowd_within(0.01, &files[1], &files[1..2], 2_000),
    ];
    let fill = fill.join(";");
    owner.batch_execute(&fill).await.unwrap();
    let known = json!({ "file_ids": files[1..] });
    let path = fixture.at(&format!("agents/{}/files", fixture.agent));
    fixture.admin.post(&path, &known).await.expect(200);
    let thing = THINGS[0];
    let question = json!({
        "query": format!("Where is the {thing}?"), "mode": "semantic", "agent_id": fixture.agent,
    });
    let exact = hits(&fixture, &question).await;
    assert!(exact.len() > 5, "{exact:?}");
    maintain(&app, 500).await;
    let by_index = plan(&app, &fixture, SearchMode::Semantic, None).await;
    assert!(by_index.contains("chunks_hnsw_"), "{by_index}");
    assert_eq!(hits(&fixture, &question).await, exact);
}
