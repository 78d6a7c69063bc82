//! The licences of the code that is in the binary, and the notices that have to be passed on with it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    crates::{self, Id},
    release::Release,
};
use crate::{
    cache,
    process::{capture, cargo, run},
};

const FILE: &str = "THIRD-PARTY-NOTICES.txt";
const FILE_OF_RUST: &str = "THIRD-PARTY-NOTICES-rust.html";
const TEMPLATE: &str = "xtask/notices.hbs";
/// How the names of files with notices begin, in capitals.
const NOTICES: [&str; 3] = ["NOTICE", "THIRD-PARTY", "THIRD_PARTY"];

/// Writes the licences of the crates, their notices, and those of Rust's standard library.
pub fn write(release: &Release, crates: &BTreeSet<Id>) -> Result<()> {
    // With the sources at hand nothing is looked up, so that the outcome does not depend on the network.
    run(
        "sources of the crates (cargo fetch)",
        &mut cargo(&["fetch", "--locked"]),
    )?;
    let file = release.file(FILE);
    let mut about = cargo(&["about", "generate", "--frozen", "--fail"]);
    about.args([
        "--manifest-path",
        "crates/api/Cargo.toml",
        "--config",
        "about.toml",
    ]);
    about.arg("--output-file").arg(&file).arg(TEMPLATE);
    run("licences of the crates (cargo about)", &mut about)?;
    let mut text = fs::read_to_string(&file)?;
    for ((name, version), folder) in crates::folders(crates)? {
        for notice in notices(&folder)? {
            let words = fs::read_to_string(&notice)?;
            write!(
                text,
                "\n{}\nNotice of {name} {version}\n\n{}\n",
                "-".repeat(80),
                words.trim_end()
            )?;
        }
    }
    fs::write(file, text)?;
    fs::copy(of_rust()?, release.file(FILE_OF_RUST)).context(
        "the notices of Rust's standard library, which rustup installs with the compiler",
    )?;
    Ok(())
}

/// The files in which a crate has notices.
fn notices(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let is_notice = NOTICES.iter().any(|start| name.starts_with(start));
        if is_notice && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn of_rust() -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--print", "sysroot"])
        .current_dir(cache::repository());
    let sysroot = capture("rustc", &mut rustc)?;
    Ok(Path::new(sysroot.trim()).join("share/doc/rust/COPYRIGHT-library.html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts in quotation marks of the list that begins with this line.
    fn list(file: &str, begins: &str) -> Vec<String> {
        let text = fs::read_to_string(cache::repository().join(file)).unwrap();
        let lines = text.lines().skip_while(|line| *line != begins).skip(1);
        let lines = lines.take_while(|line| *line != "]");
        lines
            .map(|line| line.trim().trim_matches([',', '"']).to_owned())
            .collect()
    }

    #[test]
    fn the_licences_in_notices_are_those_that_are_allowed() {
        let allowed = list("deny.toml", "allow = [");
        assert!(allowed.contains(&"MIT".to_owned()));
        assert_eq!(list("about.toml", "accepted = ["), allowed);
    }
}
