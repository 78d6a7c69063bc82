//! What was found by fuzzing, and inputs to begin with, once more: each file of `corpus/<target>`.

use std::{
    fs,
    panic::catch_unwind,
    path::Path,
    time::{Duration, Instant},
};

/// What one input may take, on a slow machine without optimisation.
const MOST: Duration = Duration::from_secs(5);

fn again(target: &str, run: fn(&[u8])) {
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
    again("cursors", patchbay_fuzz::cursors::target);
}

#[test]
fn extraction() {
    again("extraction", patchbay_fuzz::extraction::target);
}

#[test]
fn forwarded_for() {
    again("forwarded_for", patchbay_fuzz::forwarded_for::target);
}

#[test]
fn hours() {
    again("hours", patchbay_fuzz::hours::target);
}

#[test]
fn merge_patches() {
    again("merge_patches", patchbay_fuzz::merge_patches::target);
}

#[test]
fn phone_numbers() {
    again("phone_numbers", patchbay_fuzz::phone_numbers::target);
}

#[test]
fn range() {
    again("range", patchbay_fuzz::range::target);
}

#[test]
fn schemas() {
    again("schemas", patchbay_fuzz::schemas::target);
}

#[test]
fn templates() {
    again("templates", patchbay_fuzz::templates::target);
}

#[test]
fn tool_rendering() {
    again("tool_rendering", patchbay_fuzz::tool_rendering::target);
}

#[test]
fn webhooks() {
    again("webhooks", patchbay_fuzz::webhooks::target);
}
