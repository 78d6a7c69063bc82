//! A PostgreSQL that was built with TLS, for the tests that need one.

use std::{env, fs};

/// The variable that names the folder of its programs.
pub const VARIABLE: &str = "PATCHBAY_TEST_TLS_POSTGRES";
/// How to get one.
pub const MISSING: &str = "no PostgreSQL with TLS was found (Debian's package postgresql, or its folder of programs in \
                           PATCHBAY_TEST_TLS_POSTGRES)";
/// Where Debian has the versions, each built with TLS.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder of its programs, if there is one.
pub fn programs() -> Option<String> {
    if let Ok(named) = env::var(VARIABLE) {
        return Some(named);
    }
    let versions = fs::read_dir(DEBIAN).ok()?;
    let folders = versions.filter_map(Result::ok);
    let mut folders = folders.map(|version| version.path().join("bin"));
    let found = folders.find(|folder| folder.join("initdb").exists());
    found.map(|folder| folder.display().to_string())
}
