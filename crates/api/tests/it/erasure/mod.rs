//! Nothing is left of an erased person: not in any column of any table, not in a line of the log, not in the
//! object store.

mod classes;
mod person;
mod scan;
mod telephone;
mod world;

pub(super) use world::{Spelling, spelled};

use std::collections::BTreeSet;

use self::{
    classes::{AUDITED, LOGGED, MOMENTARY, PERSONAL, PLAIN, UNREADABLE},
    world::{WORD, World},
};
use super::support::{TestApp, eventually};
use diesel_async::SimpleAsyncConnection as _;

/// The columns of a class, as `table.column`.
fn columns_of(class: &[(&str, &str, &str)]) -> BTreeSet<String> {
    let named = class.iter().flat_map(|(table, columns, _)| {
        let columns = columns.split_whitespace();
        columns.map(move |column| format!("{table}.{column}"))
    });
    named.collect()
}

fn logged() -> BTreeSet<String> {
    let names = LOGGED
        .iter()
        .flat_map(|(names, _)| names.split_whitespace());
    names.map(str::to_owned).collect()
}

/// What is in `some` and not in `known`.
fn beyond(some: &BTreeSet<String>, known: &BTreeSet<String>) -> Vec<String> {
    some.difference(known).cloned().collect()
}

const NOTHING: Vec<String> = Vec::new();

#[tokio::test(flavor = "multi_thread")]
async fn every_column_is_classified() {
    let app = TestApp::start().await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    let columns = scan::columns(&mut database).await;
    let (personal, plain) = (columns_of(PERSONAL), columns_of(PLAIN));
    let known: BTreeSet<_> = personal.union(&plain).cloned().collect();
    assert_eq!(
        beyond(&columns, &known),
        NOTHING,
        "say what these columns hold"
    );
    assert_eq!(
        beyond(&known, &columns),
        NOTHING,
        "these columns are no more"
    );
    assert!(personal.is_disjoint(&plain));
}

#[test]
fn every_field_of_the_log_is_classified() {
    let (code, known) = (scan::fields_of_code(), logged());
    assert_eq!(beyond(&code, &known), NOTHING, "say what these fields hold");
}

#[test]
fn fields_are_found_in_code() {
    let found =
        |code: &str| scan::fields_in(code).map(|names| names.into_iter().collect::<Vec<_>>());
    let code = r#"tracing::warn!(%error, call = %id, a.b = f(x, "," ), "it, failed"); tracing::info!("ended");"#;
    assert_eq!(found(code).unwrap(), ["a.b", "call", "error"]);
    let code = r#"#[tracing::instrument(skip_all, fields(%tenant, room = %told(room)), err(level = "warn"))]"#;
    assert_eq!(found(code).unwrap(), ["error", "room", "tenant"]);
    for wrong in [
        r#"tracing::info!("room {room} is gone");"#,
        "#[instrument(skip(self), err)]",
        "#[instrument(skip_all, ret)]",
    ] {
        assert!(found(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_person() {
    let world = World::start().await;
    let traces = world.live().await;
    let tenant = &world.fixture.tenant;
    let mut database = world.database().await;
    let was_there = eventually("all is there", async || {
        let found = scan::found_in_tables(&mut database, tenant).await;
        // Until it is applied, an event is stored as a whole.
        (!found.contains(MOMENTARY)).then_some(found)
    })
    .await;
    let mut expected = columns_of(PERSONAL);
    expected.retain(|column| ![MOMENTARY, UNREADABLE].contains(&&**column));
    assert_eq!(
        beyond(&expected, &was_there),
        NOTHING,
        "the person must leave a trace in each"
    );
    assert_eq!(
        beyond(&was_there, &expected),
        NOTHING,
        "these were said to tell of nobody"
    );
    assert!(scan::count(&mut database, tenant, "chunks").await > 0);
    assert!(!scan::found_in_folder(&world.objects()).is_empty());

    world.erase(&traces).await;
    world.deliver_late_events(&traces).await;
    for keyed in &traces.keyed {
        for spelling in [Spelling::Ours, Spelling::NoDashes, Spelling::Urn] {
            let replay = world
                .repeat(&world.fixture.admin, &keyed.spelled(spelling))
                .await;
            let (path, body) = (&keyed.path, replay.body.to_string());
            assert!(!scan::is_personal(&body), "{path}: {body}");
            let known = replay.header("idempotency-replayed") == "true" || replay.status == 410;
            assert!(known, "{path}: {body}");
        }
    }

    let left = scan::found_in_tables(&mut database, tenant).await;
    assert_eq!(Vec::from_iter(left), NOTHING, "the person is still there");
    assert_eq!(scan::count(&mut database, tenant, "chunks").await, 0);
    assert_eq!(
        scan::found_in_folder(&world.objects()),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(scan::found_in_log(&world.api.log), NOTHING);

    let fields = scan::fields_of_log(&world.api.log);
    assert_eq!(
        beyond(&fields, &logged()),
        NOTHING,
        "say what these fields hold"
    );
    let audited = AUDITED.iter().flat_map(|(kind, fields)| {
        let fields = fields.split_whitespace();
        fields.map(move |field| format!("{kind}.{field}"))
    });
    let kept = scan::audited(&mut database, tenant).await;
    assert_eq!(
        beyond(&kept, &audited.collect()),
        NOTHING,
        "say that these are not personal"
    );
    let log = std::fs::read_to_string(&world.api.log).unwrap();
    assert!(log.contains("an inbound call was rejected") && !log.contains(WORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_kept_is_blanked_by_the_migration() {
    let app = TestApp::start().await;
    let fixture = app.tenant("acme").await;
    let mut database = app.connect("DATABASE_OWNER_URL").await;
    scan::enter(&mut database, &fixture.tenant).await;
    let audited = |kind: &str, after: &str| {
        format!(
            "INSERT INTO audit_events SELECT tenant_id, gen_random_uuid(), at, actor_kind, actor_id, action, '{kind}',
                 resource_id, '{after}', '{after}', changed, request_id, address FROM audit_events LIMIT 1;"
        )
    };
    let tenant = &fixture.tenant;
    let session = "0199a2f07c117a549d4e3b1f8f0f2f60";
    let paths = [
        format!("/api/tenants/{tenant}/sessions/{session}/stop"),
        format!("/api/tenants/{}/sessions", tenant.to_uppercase()),
        format!("/api/tenants/urn:uuid:{tenant}/sessions"),
        format!("/api/tenants/{tenant}/sessions"),
    ];
    let kept = paths.iter().enumerate().map(|(number, path)| {
        format!(
            "INSERT INTO idempotency_keys (tenant_id, caller, operation, key, fingerprint, path, body, created_at)
             VALUES ('{tenant}', 'c', 'o', 'for-{WORD}-{number}', '', '{path}', 'of {WORD}', now());"
        )
    });
    let old = [
        audited(
            "user",
            &format!(r#"{{"role": "{WORD}", "external_id": "{WORD}", "id": "1"}}"#),
        ),
        audited(
            "session",
            &format!(r#"{{"identity": "{WORD}", "error_detail": "{WORD}", "role": "user"}}"#),
        ),
        audited("file", &format!(r#"{{"name": "{WORD}", "size": 1}}"#)),
        audited(
            "session",
            &format!(r#"{{"end_reason": "{WORD} said goodbye", "state": "ended"}}"#),
        ),
        audited(
            "session",
            r#"{"end_reason": "completed", "state": "ended"}"#,
        ),
        audited(
            "call",
            &format!(r#"{{"to": "{WORD}", "reason": "{WORD}", "agent_id": "1"}}"#),
        ),
        format!(
            "INSERT INTO usage_records VALUES ('{tenant}', gen_random_uuid(), gen_random_uuid(), '{WORD}-1', 0, 'llm',
                 'p', 'm', 1, 1, 0, 0, now());"
        ),
    ];
    let old: String = old.into_iter().chain(kept).collect();
    database.batch_execute(&old).await.unwrap();
    let up = include_str!("../../../../../migrations/2026-11-27-000001_erasure/up.sql");
    let (_, blanking) = up.split_once("DO $$").unwrap();
    database
        .batch_execute(&format!("DO $${blanking}"))
        .await
        .unwrap();
    let found = scan::found_in_tables(&mut database, tenant).await;
    let left: Vec<_> = found.iter().map(|column| &**column).collect();
    assert_eq!(
        left,
        ["idempotency_keys.body", "idempotency_keys.key"],
        "the one whose path is ours"
    );
    let whole = "SELECT '' FROM idempotency_keys WHERE body IS NOT NULL";
    let whole = scan::count(&mut database, tenant, &format!("({whole}) AS whole")).await;
    assert_eq!(whole, 1);
    let names = scan::audited(&mut database, tenant).await;
    for name in [
        "user.id",
        "session.role",
        "session.end_reason",
        "session.state",
        "call.agent_id",
        "file.size",
    ] {
        assert!(names.contains(name), "{name} is kept");
    }
}
