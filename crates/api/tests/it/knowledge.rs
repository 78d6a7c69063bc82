//! From a file to a search hit, with the real model.

use serde_json::{Value, json};

use super::support::{Fixture, TestApp, environment, eventually, id};

const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/documents");

async fn world(more: &[&str]) -> (TestApp, Fixture) {
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let mut settings = vec![&*model];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await;
    let fixture = app.tenant("acme").await;
    (app, fixture)
}

/// The status of a file's ingest, once it has ended.
async fn ended(fixture: &Fixture, file: &Value) -> Value {
    let path = fixture.at(&format!("files/{}/status", id(file)));
    eventually("the ingest ends", async || {
        let status = fixture.admin.get(&path).await.expect(200);
        status["finished_at"].is_string().then_some(status)
    })
    .await
}

/// A file that is being ingested.
async fn ingest(fixture: &Fixture, name: &str, bytes: &[u8]) -> Value {
    let path = fixture.at(&format!("files?name={name}&ingest=true"));
    fixture.admin.upload(&path, bytes).await.expect(201)
}

async fn document(fixture: &Fixture, name: &str) -> Value {
    let bytes = std::fs::read(format!("{DOCUMENTS}/{name}")).unwrap();
    ingest(fixture, name, &bytes).await
}

async fn chunks(fixture: &Fixture, file: &Value) -> Vec<Value> {
    let path = fixture.at(&format!("files/{}/chunks?limit=100", id(file)));
    let page = fixture.admin.get(&path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn search(fixture: &Fixture, body: Value) -> Value {
    let path = fixture.at("search");
    fixture.admin.post(&path, &body).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_document_is_read() {
    let (_app, fixture) = world(&[]).await;
    let mail = "From: Ada <ada@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: =?utf-8?q?K=C3=A4se?=\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\n\r\nThe cheese is in the cellar.\r\n";
    let page = "<html><head><title>x</title><script>var hidden = 1;</script></head><body><nav>Menu</nav>\
        <h1>Repairs</h1><p>A flat tyre costs 18 euros.</p><h2>Brakes</h2><p>Brakes take a day.</p></body></html>";
    let srt = "1\n00:00:01,000 --> 00:00:02,000\n<i>Welcome</i> to the tour.\n\n2\n00:00:03,000 --> 00:00:04,000\nMind the step.\n";
    let vtt = "WEBVTT\n\nNOTE nobody says this\n\n00:01.000 --> 00:02.000\nThe bridge is new.\n";
    let texts: [(&str, &[u8], &str); 9] = [
        ("notes.txt", "Der Käse ist da.".as_bytes(), "Käse"),
        (
            "latin.txt",
            b"Das Caf\xe9 \xf6ffnet um acht Uhr, und der K\xe4se kommt aus der Gegend.",
            "Café öffnet",
        ),
        (
            "notes.md",
            b"# Garden\n\nRoses need water.",
            "Roses need water.",
        ),
        ("page.html", page.as_bytes(), "A flat tyre costs 18 euros."),
        (
            "prices.csv",
            b"Article;Price\nBell;9.50\n\"Lock; heavy\";30\n",
            "Article: Lock; heavy; Price: 30",
        ),
        (
            "data.json",
            br#"{"shop": {"open": ["mon", "tue"]}}"#,
            "shop.open[1]: tue",
        ),
        ("film.srt", srt.as_bytes(), "Welcome to the tour."),
        ("film.vtt", vtt.as_bytes(), "The bridge is new."),
        ("mail.eml", mail.as_bytes(), "The cheese is in the cellar."),
    ];
    for (name, bytes, expected) in texts {
        let file = ingest(&fixture, name, bytes).await;
        let status = ended(&fixture, &file).await;
        assert_eq!(status["state"], "done", "{name}: {status}");
        let text = json!(chunks(&fixture, &file).await).to_string();
        assert!(text.contains(expected), "{name}: {text}");
        assert!(
            !text.contains("hidden") && !text.contains("nobody says"),
            "{text}"
        );
    }
    for (name, pages, page, expected) in [
        (
            "two-pages.pdf",
            2,
            json!(2),
            "A cargo bicycle costs 35 euros a day",
        ),
        (
            "warranty.pdf",
            1,
            json!(1),
            "Frames are guaranteed for ten years",
        ),
        (
            "repairs.pdf",
            1,
            json!(1),
            "A flat tyre is repaired while you wait",
        ),
        (
            "returns.docx",
            1,
            json!(null),
            "Helmets & made-to-measure frames",
        ),
        ("address.docx", 1, json!(null), "Mill Lane 12  \nRiverside"),
        ("plan.pptx", 2, json!(2), "We ride to the lake in June."),
        (
            "tours.xlsx",
            1,
            json!(1),
            "Tour: Lake; Day: 2026-06-14; Begins: 09:30",
        ),
        (
            "prices.xlsx",
            2,
            json!(1),
            "Article: Brake pads; Price: 14; Stock: 38",
        ),
    ] {
        let file = document(&fixture, name).await;
        let status = ended(&fixture, &file).await;
        assert_eq!(
            (&status["state"], &status["pages"]),
            (&json!("done"), &json!(pages)),
            "{status}"
        );
        let all = chunks(&fixture, &file).await;
        let has_it = |chunk: &&Value| chunk["text"].as_str().unwrap().contains(expected);
        let found = all
            .iter()
            .find(has_it)
            .unwrap_or_else(|| panic!("{name}: {all:?}"));
        assert_eq!(found["page"], page, "{name}");
    }
    let path = fixture.at("files?name=plan.pptx");
    let plan = fixture.admin.get(&path).await.expect(200)["data"][0].clone();
    let headings: Vec<_> = chunks(&fixture, &plan)
        .await
        .iter()
        .map(|c| c["headings"].clone())
        .collect();
    assert_eq!(headings, [json!(["Season plan"]), json!(["Staff outing"])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_says_why() {
    let (_app, fixture) = world(&[]).await;
    for (name, code) in [
        ("locked.pdf", "encrypted_pdf"),
        ("scan.pdf", "no_text_found"),
    ] {
        let file = document(&fixture, name).await;
        let status = ended(&fixture, &file).await;
        assert_eq!(
            (&status["state"], &status["error"]["code"]),
            (&json!("failed"), &json!(code))
        );
    }
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    for (name, bytes, code) in [
        ("a.png", &png[..], "unsupported_type"),
        ("a.pdf", b"%PDF-1.7 and nothing more", "damaged"),
        ("a.docx", b"PK\x03\x04 no archive", "damaged"),
        ("a.txt", b" \n ", "no_text_found"),
        ("a.json", b"{", "damaged"),
    ] {
        let file = ingest(&fixture, name, bytes).await;
        let status = ended(&fixture, &file).await;
        assert_eq!(status["error"]["code"], code, "{name}: {status}");
        if code == "damaged" {
            let message = status["error"]["message"].as_str().unwrap();
            assert_eq!(message, of_damaged(name), "nothing that a parser says");
        }
        assert!(chunks(&fixture, &file).await.is_empty());
    }
}

fn of_damaged(name: &str) -> &'static str {
    match name {
        "a.json" => "The file is no valid JSON from line 1, column 1 on.",
        _ => "The file cannot be read: it is damaged, or its format deviates from the standard.",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_finds_its_sentence_in_every_mode() {
    let (app, fixture) = world(&[]).await;
    let garden = ingest(&fixture, "garden.txt", b"Roses are watered in the evening.").await;
    let shop = ingest(
        &fixture,
        "shop.txt",
        "The 🌹 invoice number is KX-4711. Parcels are shipped by rail.".as_bytes(),
    )
    .await;
    for file in [&garden, &shop] {
        ended(&fixture, file).await;
    }
    // The text contains no word of the question.
    let by_meaning =
        json!({ "query": "When do flowers get a drink?", "mode": "semantic", "limit": 1 });
    let found = search(&fixture, by_meaning).await;
    assert_eq!(found["data"][0]["file_id"], garden["id"]);
    assert_eq!(found["total_candidates"], 2);
    let by_words = json!({ "query": "KX-4711", "mode": "keyword", "highlight": true });
    let found = search(&fixture, by_words).await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    let hit = &found["data"][0];
    assert_eq!(
        (&hit["file_id"], &hit["scores"]["semantic"]),
        (&shop["id"], &Value::Null)
    );
    let segments = hit["segments"].as_array().unwrap();
    let joined: String = segments
        .iter()
        .map(|s| s["text"].as_str().unwrap())
        .collect();
    assert_eq!(joined, hit["text"].as_str().unwrap());
    let mut hits = segments.iter().filter(|segment| segment["hit"] == true);
    let first = hits.next().unwrap()["text"].as_str().unwrap();
    assert!("KX-4711".contains(first), "{hit}");
    let both = json!({ "query": "watered roses" });
    let found = search(&fixture, both.clone()).await;
    let hit = &found["data"][0];
    assert_eq!(
        (&hit["file_id"], &hit["score"]),
        (&garden["id"], &json!(1.0)),
        "first in both"
    );
    for _ in 0..3 {
        assert_eq!(search(&fixture, both.clone()).await["data"], found["data"]);
    }
    let none = json!({ "query": "watered roses", "mode": "semantic", "min_score": 0.99 });
    let found = search(&fixture, none).await;
    assert_eq!(
        (&found["data"], &found["total_candidates"]),
        (&json!([]), &json!(2))
    );
    let excluded = json!({ "query": "parcels -rail", "mode": "keyword" });
    assert_eq!(search(&fixture, excluded).await["data"], json!([]));
    // The query contains no searchable word.
    let empty = |mode: &str| json!({ "query": "what is it", "mode": mode });
    let nothing = search(&fixture, empty("keyword")).await;
    assert_eq!(nothing["data"], json!([]));
    let ids = |found: Value| -> Vec<Value> {
        let hits = found["data"].as_array().unwrap().iter();
        hits.map(|hit| hit["chunk_id"].clone()).collect()
    };
    let (both, meaning) = (empty("hybrid"), empty("semantic"));
    let (both, meaning) = (
        search(&fixture, both).await,
        search(&fixture, meaning).await,
    );
    assert_eq!(ids(both), ids(meaning));
    let other = app.tenant("other").await;
    let theirs = search(&other, json!({ "query": "roses" })).await;
    assert_eq!(
        (&theirs["data"], &theirs["total_candidates"]),
        (&json!([]), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_sees_the_files_that_it_is_to_see() {
    let (_app, fixture) = world(&[]).await;
    let one = ingest(
        &fixture,
        "one.txt&metadata=%7B%22team%22%3A%22red%22%7D",
        b"The code is amber.",
    )
    .await;
    let two = ingest(&fixture, "two.txt", b"The code is violet.").await;
    for file in [&one, &two] {
        ended(&fixture, file).await;
    }
    let files = async |more: Value| {
        let mut body = json!({ "query": "code" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let found = search(&fixture, body).await;
        let hits = found["data"].as_array().unwrap().iter();
        hits.map(|hit| hit["file_name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(files(json!({})).await.len(), 2);
    assert_eq!(
        files(json!({ "metadata": { "team": "red" } })).await,
        ["one.txt"]
    );
    assert_eq!(files(json!({ "file_ids": [two["id"]] })).await, ["two.txt"]);
    let agent = json!({ "agent_id": fixture.agent });
    assert!(files(agent.clone()).await.is_empty());
    let attach = fixture.at(&format!("agents/{}/files", fixture.agent));
    let both = json!({ "file_ids": [one["id"], two["id"], one["id"]] });
    let attached = fixture.admin.post(&attach, &both).await.expect(200);
    assert_eq!(attached["file_ids"].as_array().unwrap().len(), 2);
    assert_eq!(files(agent.clone()).await.len(), 2);
    let detach = format!("{attach}/{}", id(&one));
    fixture.admin.delete(&detach).await.expect(204);
    fixture
        .admin
        .delete(&detach)
        .await
        .expect_error(404, "not_found");
    assert_eq!(files(agent.clone()).await, ["two.txt"]);
    let known = fixture.admin.get(&attach).await.expect(200);
    assert_eq!(known["data"][0]["id"], two["id"]);
    let path = fixture.at(&format!("files/{}", id(&two)));
    fixture.admin.delete(&path).await.expect(204);
    assert!(files(agent).await.is_empty());
    assert_eq!(files(json!({})).await, ["one.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_ingest_replaces_the_old_one_and_equal_bytes_are_read_once() {
    let (_app, fixture) = world(&[]).await;
    let file = ingest(&fixture, "a.txt", b"The answer is 42.").await;
    ended(&fixture, &file).await;
    let path = fixture.at(&format!("files/{}/ingest", id(&file)));
    let begun = fixture.admin.act(&path).await.expect(202);
    assert_eq!(
        (&begun["generation"], &begun["searchable_generation"]),
        (&json!(2), &json!(1))
    );
    let done = ended(&fixture, &file).await;
    assert_eq!(
        (&done["state"], &done["searchable_generation"]),
        (&json!("done"), &json!(2))
    );
    let stages: Vec<_> = done["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["stage"].clone())
        .collect();
    assert_eq!(stages, ["extract", "chunk", "embed", "index"]);
    let ids: Vec<_> = chunks(&fixture, &file)
        .await
        .iter()
        .map(|c| c["id"].clone())
        .collect();
    assert_eq!(ids, [format!("{}:2:0", id(&file))]);
    let copy = ingest(&fixture, "b.txt", b"The answer is 42.").await;
    let done = ended(&fixture, &copy).await;
    let stages: Vec<_> = done["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["stage"].clone())
        .collect();
    assert_eq!(stages, ["index"], "what was read once is taken over");
    assert_eq!(
        search(&fixture, json!({ "query": "answer" })).await["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let plain = ingest(&fixture, "c.txt", b"# Title\n\nText.").await;
    ended(&fixture, &plain).await;
    let marked = ingest(&fixture, "c.md", b"# Title\n\nText.").await;
    ended(&fixture, &marked).await;
    let headings = chunks(&fixture, &marked).await[0]["headings"].clone();
    assert_eq!(headings, json!(["Title"]), "another kind is read anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_documents_are_cut_where_they_pause() {
    let (_app, fixture) = world(&[]).await;
    let paragraph = |n: usize| {
        format!(
            "## Part {n}\n\n{}\n\n",
            "Wheels turn and the road goes on for a while. ".repeat(30)
        )
    };
    let text: String = (0..11).map(paragraph).collect();
    let file = ingest(&fixture, "long.md", text.as_bytes()).await;
    let status = ended(&fixture, &file).await;
    assert_eq!(status["state"], "done", "{status}");
    let all = chunks(&fixture, &file).await;
    assert!(
        all.len() > 20 && status["chunks"] == all.len(),
        "{}",
        all.len()
    );
    let characters: Vec<char> = text.chars().collect();
    for (ordinal, chunk) in all.iter().enumerate() {
        assert_eq!(chunk["ordinal"], ordinal);
        assert!(chunk["tokens"].as_u64().unwrap() <= 200, "{chunk}");
        let at = |name: &str| chunk[name].as_u64().unwrap() as usize;
        let place: String = characters[at("start_offset")..at("end_offset")]
            .iter()
            .collect();
        assert_eq!(place, chunk["text"].as_str().unwrap());
    }
    assert_eq!(all[all.len() - 1]["headings"], json!(["Part 10"]));
    let path = fixture.at(&format!("files/{}/chunks?limit=7", id(&file)));
    let page = fixture.admin.get(&path).await.expect(200);
    let next = format!("{path}&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(
        fixture.admin.get(&next).await.expect(200)["data"][0]["ordinal"],
        7
    );
    let anew = fixture.at(&format!("files/{}/ingest", id(&file)));
    fixture.admin.act(&anew).await.expect(202);
    ended(&fixture, &file).await;
    let of_old_chunks = fixture.admin.get(&next).await.violations();
    assert_eq!(of_old_chunks, [("/cursor".into(), "invalid_value".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_looks_up_what_its_binding_lets_it() {
    let (app, fixture) = world(&[]).await;
    let known = ingest(&fixture, "known.txt", b"The workshop opens at nine.").await;
    let other = ingest(&fixture, "other.txt", b"The workshop opens at ten.").await;
    for file in [&known, &other] {
        ended(&fixture, file).await;
    }
    let attach = fixture.at(&format!("agents/{}/files", fixture.agent));
    let both = json!({ "file_ids": [known["id"], other["id"]] });
    fixture.admin.post(&attach, &both).await.expect(200);
    let bindings = fixture.at(&format!("agents/{}/bindings", fixture.agent));
    let bind = |knowledge: Value| {
        json!({
            "prompt_version_id": fixture.prompt_version, "runtime_config_version_id": fixture.config_version,
            "knowledge": knowledge,
        })
    };
    for (knowledge, pointer) in [
        (json!({ "top_k": 0 }), "/knowledge/top_k"),
        (json!({ "min_score": 2 }), "/knowledge/min_score"),
    ] {
        let refused = fixture.admin.post(&bindings, &bind(knowledge)).await;
        assert_eq!(refused.violations()[0].0, pointer);
    }
    let foreign = json!({ "file_ids": ["01a20a81-0000-7000-8000-000000000000"] });
    let refused = fixture.admin.post(&bindings, &bind(foreign)).await;
    let unknown = ("/knowledge/file_ids/0".into(), "unknown_reference".into());
    assert_eq!(refused.violations(), [unknown]);
    let knowledge = json!({ "mode": "hybrid", "top_k": 3, "file_ids": [known["id"]] });
    let binding = fixture
        .admin
        .post(&bindings, &bind(knowledge))
        .await
        .expect(201);
    assert_eq!(binding["knowledge"]["top_k"], 3);
    let plain = fixture.session(true).await;
    fixture.activate(&id(&binding)).await;
    let session = fixture.session(true).await;

    let run_of = async |session: &Value| {
        let runs = fixture.at(&format!("sessions/{}/agent-runs", id(session)));
        let runs = fixture.admin.get(&runs).await.expect(200);
        format!(
            "{}/{}",
            fixture.at(&format!("sessions/{}/agent-runs", id(session))),
            id(&runs["data"][0])
        )
    };
    let question = json!({ "query": "When does the workshop open?" });
    let path = run_of(&session).await;
    let config = app
        .worker()
        .get(&format!("{path}/config"))
        .await
        .expect(200);
    assert_eq!(
        config["configuration"]["knowledge"]["file_ids"],
        json!([known["id"]])
    );
    let found = app
        .worker()
        .post(&format!("{path}/search"), &question)
        .await
        .expect(200);
    let texts: Vec<_> = found["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["text"].clone())
        .collect();
    assert_eq!(texts, ["The workshop opens at nine."]);
    let events = fixture.at(&format!(
        "sessions/{}/events?kind=knowledge.searched",
        id(&session)
    ));
    let events = fixture.admin.get(&events).await.expect(200);
    assert_eq!(
        events["data"][0]["search"]["chunk_ids"],
        json!([format!("{}:1:0", id(&known))])
    );
    let without = format!("{}/search", run_of(&plain).await);
    app.worker()
        .post(&without, &question)
        .await
        .expect_error(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_those_of_the_tenants_language() {
    let (_app, fixture) = world(&[]).await;
    let tenant = format!("/api/tenants/{}", fixture.tenant);
    let refused = json!({ "settings": { "search_language": "klingon" } });
    let refused = fixture.admin.patch(&tenant, &refused).await;
    assert_eq!(
        refused.violations(),
        [(
            "/settings/search_language".into(),
            "unknown_language".into()
        )]
    );
    let german = json!({ "settings": { "search_language": "german" } });
    fixture.admin.patch(&tenant, &german).await.expect(200);
    let file = ingest(&fixture, "a.txt", "Die Häuser stehen am Fluss.".as_bytes()).await;
    ended(&fixture, &file).await;
    let found = search(&fixture, json!({ "query": "das Haus", "mode": "keyword" })).await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_made_to_harm_harm_nobody() {
    let folder = format!("{}/hostile", environment("FOLDER"));
    std::fs::create_dir_all(&folder).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/hostile.py");
    let made = std::process::Command::new(environment("PYTHON"))
        .args([script, &folder, DOCUMENTS])
        .status();
    assert!(made.unwrap().success());
    let short = [
        "--extract-timeout=3s",
        "--extract-memory=700000000",
        "--job-lease=10s",
    ];
    let (_app, fixture) = world(&short).await;
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert!(names.len() >= 25, "{}", names.len());
    let mut files = Vec::new();
    for name in names {
        let name = name.into_string().unwrap();
        let bytes = std::fs::read(format!("{folder}/{name}")).unwrap();
        files.push((name.clone(), ingest(&fixture, &name, &bytes).await));
    }
    for (name, file) in files {
        let path = fixture.at(&format!("files/{}/status", id(&file)));
        let status = eventually(&name, async || {
            let status = fixture.admin.get(&path).await.expect(200);
            // It is extracted; embedding it would take the model an hour.
            let embeds = status["stage"] == "embed";
            (embeds || status["finished_at"].is_string()).then_some(status)
        })
        .await;
        if status["state"] == "failed" {
            let code = status["error"]["code"].as_str().unwrap();
            assert!(
                !["gave_up", "embedding_refused"].contains(&code),
                "{name}: {status}"
            );
        }
        let text = json!(chunks(&fixture, &file).await).to_string();
        assert!(!text.contains("root:"), "{name} reads this machine's files");
        fixture
            .admin
            .delete(&fixture.at(&format!("files/{}", id(&file))))
            .await
            .expect(204);
    }
    let good = ingest(&fixture, "good.txt", b"All is well.").await;
    assert_eq!(ended(&fixture, &good).await["state"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_all_files_of_another() {
    let model = format!("--embedding-directory={}", environment("MODEL"));
    let app = TestApp::start_with(&[&model, "--ingest-parallel=1"]).await;
    let (many, one) = (app.tenant("many").await, app.tenant("one").await);
    let text = "Wheels turn and the road goes on for a while, past mills and ponds. ".repeat(60);
    let mut files = Vec::new();
    for n in 0..8 {
        let name = format!("{n}.txt");
        files.push(ingest(&many, &name, format!("{n} {text}").as_bytes()).await);
    }
    let single = ingest(&one, "single.txt", text.as_bytes()).await;
    let single = ended(&one, &single).await["finished_at"].clone();
    let mut later = 0;
    for file in &files {
        let finished = ended(&many, file).await["finished_at"].clone();
        later += usize::from(finished.as_str() > single.as_str());
    }
    assert!(later >= 4, "{later} of 8 were left when the one came");
}
