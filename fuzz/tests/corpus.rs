//! Runs the corpus: inputs found by fuzzing, and initial inputs, in `corpus/<target>`.

use std::{
    fs,
    panic::catch_unwind,
    path::Path,
    time::{Duration, Instant},
};

/// Maximum time for one input, on a slow machine without optimisation.
const MOST: Duration = Duration::from_secs(5);

fn run_corpus(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("has a corpus") {
        let path = entry.expect("can be listed").path();
        let data = fs::read(&path).expect("can be read");
        let began = Instant::now();
        let outcome = catch_unwind(|| run(&data));
        assert!(outcome.is_ok(), "{} fails: see above", path.display());
        assert!(
            began.elapsed() < MOST,
            "{} takes {:?}",
            path.display(),
            began.elapsed()
        );
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
    run(b"");
}

#[test]
fn cursors() {
    run_corpus("cursors", patchbay_fuzz::cursors::target);
}

#[test]
fn extraction() {
    run_corpus("extraction", patchbay_fuzz::extraction::target);
}

#[test]
fn forwarded_for() {
    run_corpus("forwarded_for", patchbay_fuzz::forwarded_for::target);
}

#[test]
fn hours() {
    run_corpus("hours", patchbay_fuzz::hours::target);
}

#[test]
fn merge_patches() {
    run_corpus("merge_patches", patchbay_fuzz::merge_patches::target);
}

#[test]
fn phone_numbers() {
    run_corpus("phone_numbers", patchbay_fuzz::phone_numbers::target);
}

#[test]
fn range() {
    run_corpus("range", patchbay_fuzz::range::target);
}

#[test]
fn schemas() {
    run_corpus("schemas", patchbay_fuzz::schemas::target);
}

#[test]
fn templates() {
    run_corpus("templates", patchbay_fuzz::templates::target);
}

#[test]
fn tool_rendering() {
    run_corpus("tool_rendering", patchbay_fuzz::tool_rendering::target);
}

#[test]
fn webhooks() {
    run_corpus("webhooks", patchbay_fuzz::webhooks::target);
}
