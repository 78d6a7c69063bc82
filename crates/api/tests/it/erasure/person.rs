//! Creates personal data wherever the API allows it, and erases it.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};

use super::{
    super::support::{event, eventually, id, now},
    scan::{count, enter},
    telephone::joined,
    world::{CALLEE, CALLER, Keyed, Spelling, Traces, WORD, World, spelled},
};

impl World {
    /// Creates all of it.
    pub async fn live(&self) -> Traces {
        self.prepare().await;
        let mut traces = Traces::default();
        self.create_user(&mut traces).await;
        self.upload_files(&mut traces).await;
        self.run_sessions(&mut traces).await;
        self.make_outbound_calls(&mut traces).await;
        self.call(&mut traces).await;
        self.leave_error_texts(&traces).await;
        traces
    }

    async fn create_user(&self, traces: &mut Traces) {
        let admin = &self.fixture.admin;
        let body = json!({
            "email": format!("{WORD}@Example.org"), "display_name": format!("{WORD} lovelace"), "role": WORD,
            "external_id": format!("crm-{WORD}"), "metadata": { "note": WORD },
        });
        let user = self
            .keyed(traces, Spelling::NoDashes, &self.at("users"), body)
            .await
            .expect(201);
        traces.user = id(&user);
        let path = self.at(&format!("users/{}", traces.user));
        let patch =
            json!({ "display_name": format!("{WORD} king"), "role": format!("{WORD}-boss") });
        admin.patch(&path, &patch).await.expect(200);
        let query =
            format!("users?email={WORD}%40example.org&external_id=crm-{WORD}&role={WORD}-boss");
        let found = admin.get(&self.at(&query)).await.expect(200);
        assert_eq!(found["data"][0]["id"], user["id"]);
        traces.deletions.push(spelled(&path, Spelling::Urn));

        let body = json!({ "name": "b", "metadata": { "keeper": WORD } });
        let agent = self
            .keyed(traces, Spelling::Ours, &self.at("agents"), body)
            .await
            .expect(201);
        traces
            .deletions
            .push(self.at(&format!("agents/{}", id(&agent))));

        // A tool that is tested with personal data.
        let spec = self.find_order("try_order");
        let tool = admin
            .post(&self.at("tools"), &json!({ "name": "tried" }))
            .await
            .expect(201);
        let path = self.at(&format!("tools/{}", id(&tool)));
        let version = admin
            .post(&format!("{path}/versions"), &json!({ "spec": spec }))
            .await;
        let test = format!("{path}/versions/{}/test", id(&version.expect(201)));
        let body = json!({ "arguments": { "name": WORD } });
        let tested = self
            .keyed(traces, Spelling::Capitals, &test, body)
            .await
            .expect(200);
        assert!(tested.to_string().contains(WORD), "{tested}");
        traces.deletions.push(path);
        let prompt = format!(
            "prompts/{}/versions/{}",
            self.fixture.prompt, self.fixture.prompt_version
        );
        let render = json!({ "variables": { "company": WORD } });
        admin
            .post(&self.at(&format!("{prompt}/render")), &render)
            .await
            .expect(200);
    }

    async fn upload_files(&self, traces: &mut Traces) {
        let text = format!("# {WORD}\n\nThe order of {WORD} is on its way to {CALLER}.\n");
        let query =
            format!("files?name={WORD}.md&metadata=%7B%22of%22%3A%22{WORD}%22%7D&ingest=true");
        let path = spelled(&self.at(&query), Spelling::Capitals);
        let typed = self
            .fixture
            .admin
            .with_header("content-type", "application/octet-stream");
        let mut upload = Keyed::new("file", path, &Value::Null);
        upload.body = Some(text.into_bytes());
        let file = self.repeat(&typed, &upload).await.expect(201);
        let path = self.at(&format!("files/{}", id(&file)));
        eventually("it is searchable", async || {
            let status = self
                .fixture
                .admin
                .get(&format!("{path}/status"))
                .await
                .expect(200);
            status["finished_at"].is_string().then_some(())
        })
        .await;
        let again = self
            .keyed(
                traces,
                Spelling::Encoded,
                &format!("{path}/ingest"),
                Value::Null,
            )
            .await;
        again.expect(202);
        let name = json!({ "name": format!("{WORD}-2.md") });
        self.fixture.admin.patch(&path, &name).await.expect(200);
        let body = json!({ "file_ids": [file["id"]] });
        let attach = self.at(&format!("agents/{}/files", self.fixture.agent));
        let keyed = self.fixture.admin.with_header("idempotency-key", "files");
        keyed
            .post(&spelled(&attach, Spelling::Braces), &body)
            .await
            .expect(200);
        let search = json!({ "query": format!("order of {WORD}") });
        let found = self
            .fixture
            .admin
            .post(&self.at("search"), &search)
            .await
            .expect(200);
        assert!(found.to_string().contains(WORD), "{found}");
        traces.deletions.push(spelled(&path, Spelling::NoDashes));
    }

    /// A session with the person, and one that is not erased.
    async fn run_sessions(&self, traces: &mut Traces) {
        let body = json!({
            "agent_id": self.fixture.agent, "variables": { "company": WORD }, "metadata": { "of": WORD },
            "start": true,
        });
        let path = self.at("sessions");
        let session = self
            .keyed(traces, Spelling::Capitals, &path, body)
            .await
            .expect(201);
        let replay = traces.keyed.last().unwrap();
        let replay = Keyed {
            path: spelled(&path, Spelling::Urn),
            ..replay.clone()
        };
        let replayed = self.repeat(&self.fixture.admin, &replay).await;
        assert_eq!(
            replayed.header("idempotency-replayed"),
            "true",
            "in another spelling"
        );
        assert_eq!(replayed.expect(201)["id"], session["id"]);
        let session = self.session_becomes(&session, &["running"]).await;
        let at = self.at(&format!("sessions/{}", id(&session)));

        let attach = format!("{at}/attach");
        let user = json!({ "type": "user", "user_id": traces.user });
        self.keyed(traces, Spelling::NoDashes, &attach, user.clone())
            .await
            .expect(201);
        let guest = json!({ "type": "user", "identity": format!("{WORD}-guest"), "name": WORD });
        self.fixture
            .admin
            .post(&spelled(&attach, Spelling::Urn), &guest)
            .await
            .expect(201);
        let agent = json!({
            "type": "agent", "agent_id": self.fixture.agent, "variables": { "company": WORD },
        });
        self.fixture.admin.post(&attach, &agent).await.expect(201);
        let phone = json!({ "type": "phone", "number": CALLEE, "ring_timeout_seconds": 5 });
        self.fixture.admin.post(&attach, &phone).await.expect(201);
        let token =
            json!({ "session_id": session["id"], "identity": format!("{WORD}-2"), "name": WORD });
        self.fixture
            .admin
            .post(&self.at("tokens"), &token)
            .await
            .expect(201);
        self.join(&session, "EV_guest", &format!("{WORD}-guest"), "PA_guest")
            .await;
        self.join(
            &session,
            "EV_user",
            &format!("usr_{}", traces.user),
            "PA_user",
        )
        .await;

        self.work(&at).await;
        let stop =
            json!({ "reason": format!("{WORD} has left"), "error": format!("{WORD} shouted") });
        self.fixture.admin.post(&format!("{at}/stop"), &stop).await;
        traces.erased_session = self.session_becomes(&session, &["failed"]).await;
        traces.deletions.push(spelled(&at, Spelling::Braces));

        traces.survivor = self.fixture.session(true).await;
        let survivor = self.session_becomes(&traces.survivor, &["running"]).await;
        let attach = self.at(&format!("sessions/{}/attach", id(&survivor)));
        self.keyed(traces, Spelling::Encoded, &attach, user)
            .await
            .expect(201);
        self.join(
            &survivor,
            "EV_there",
            &format!("usr_{}", traces.user),
            "PA_there",
        )
        .await;
        traces.survivor = survivor;
    }

    async fn join(&self, session: &Value, event_id: &str, identity: &str, sid: &str) {
        let who = json!({
            "sid": sid, "identity": identity, "name": format!("{WORD} lovelace"), "kind": "STANDARD",
            "attributes": { "note": WORD },
        });
        self.deliver(&event(
            event_id,
            "participant_joined",
            session,
            now(),
            Some(who),
        ))
        .await;
    }

    /// The worker's requests for the session.
    async fn work(&self, at: &str) {
        let runs = self
            .fixture
            .admin
            .get(&format!("{at}/agent-runs"))
            .await
            .expect(200);
        let runs = runs["data"].as_array().unwrap().clone();
        let primary = runs.iter().find(|run| run["primary"] == true).unwrap();
        let run = format!("{at}/agent-runs/{}", id(primary));
        self.worker.get(&format!("{run}/config")).await.expect(200);
        let turn = json!({
            "id": format!("{WORD}-1"), "role": "user", "text": format!("I am {WORD}, {CALLER}."),
            "started_at": "2026-11-23T20:00:03Z",
        });
        self.worker
            .post(&format!("{at}/transcript"), &json!({ "turns": [turn] }))
            .await
            .expect(200);
        let usage = json!({
            "id": format!("{WORD}-1"), "items": [{ "kind": "llm", "provider": "p", "model": "m" }],
        });
        self.worker
            .post(&format!("{at}/usage"), &usage)
            .await
            .expect(200);
        let arguments = json!({ "arguments": { "name": WORD } });
        for (spelling, tool) in [
            (Spelling::Urn, "find_order"),
            (Spelling::NoDashes, "find%5Forder"),
        ] {
            let path = spelled(&format!("{run}/tools/{tool}"), spelling);
            let called = self
                .repeat(&self.worker, &Keyed::new("tool", path, &arguments))
                .await;
            assert_eq!(
                called.header("idempotency-replayed").is_empty(),
                tool == "find_order"
            );
            assert!(called.expect(200).to_string().contains(WORD));
        }
        let report = json!({
            "function_name": "open_page", "status": "failed", "error_code": format!("{WORD}-code"),
            "duration_ms": 1,
        });
        let path = spelled(&format!("{run}/tool-calls"), Spelling::Capitals);
        self.repeat(&self.worker, &Keyed::new("report", path, &report))
            .await
            .expect(200);
        let search = json!({ "query": format!("the order of {WORD}") });
        self.worker
            .post(&format!("{run}/search"), &search)
            .await
            .expect(200);
    }

    /// Error texts that only a fault would leave.
    async fn leave_error_texts(&self, traces: &Traces) {
        let mut database = self.database().await;
        enter(&mut database, &self.fixture.tenant).await;
        let reports = format!(
            "UPDATE sessions SET last_error = '{WORD} again' WHERE id = '{}';
             UPDATE calls SET detail = '{WORD} is busy' WHERE detail IS NOT NULL;
             UPDATE ingests SET error = 'it names {WORD}'",
            id(&traces.erased_session)
        );
        database.batch_execute(&reports).await.unwrap();
    }

    /// Deletes everything, in this order, and waits until it is gone.
    pub async fn erase(&self, traces: &Traces) {
        for path in traces.deletions.iter().rev() {
            self.fixture.admin.delete(path).await.expect(204);
        }
        let mut database = self.database().await;
        eventually("the background has settled", async || {
            let waiting = "SELECT 1 FROM webhook_events WHERE applied_at IS NULL";
            let events = count(
                &mut database,
                &self.fixture.tenant,
                &format!("({waiting}) AS events"),
            )
            .await;
            let objects = count(&mut database, &self.fixture.tenant, "objects").await;
            (events + objects == 0).then_some(())
        })
        .await;
    }

    /// Delivers late events about the erased person.
    pub async fn deliver_late_events(&self, traces: &Traces) {
        let identity = format!("usr_{}", traces.user);
        self.join(&traces.erased_session, "EV_late", &identity, "PA_late")
            .await;
        self.join(&traces.survivor, "EV_again", &identity, "PA_again")
            .await;
        let caller = joined("SDR_unknown", &format!("sip_{CALLER}_one"));
        self.deliver(&event(
            "EV_call",
            "participant_joined",
            &traces.caller_room,
            now(),
            caller,
        ))
        .await;
        let people = self.at(&format!("sessions/{}/participants", id(&traces.survivor)));
        eventually("they are back", async || {
            let people = self.fixture.admin.get(&people).await.expect(200);
            let people = people["data"].as_array().unwrap().clone();
            people
                .iter()
                .any(|person| person["sid"] == "PA_again")
                .then_some(())
        })
        .await;
        let mut database = self.database().await;
        eventually("all is applied", async || {
            let waiting = "(SELECT 1 FROM webhook_events WHERE applied_at IS NULL) AS events";
            (count(&mut database, &self.fixture.tenant, waiting).await == 0).then_some(())
        })
        .await;
    }
}
