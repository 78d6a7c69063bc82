//! The binary of a release.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    release::Release,
    versions::{DOCUMENT, VERSION},
};
use crate::{
    cache, dev,
    process::{capture, cargo, host, run},
};

/// Builds it with its commit; returns its path.
pub fn build(release: &Release, has_target: bool) -> Result<PathBuf> {
    let mut build = cargo(&["build", "--locked", "--profile", "dist"]);
    build.args(["--package", "patchbay-api"]);
    build.env("PATCHBAY_COMMIT", &release.commit);
    let mut folder = dev::target();
    if has_target {
        build.args(["--target", &release.target]);
        folder.push(&release.target);
    }
    run("the binary (cargo build --profile dist)", &mut build)?;
    given(release, &folder.join("dist/patchbay-api"))
}

/// Makes sure that a binary is the one that the rest of the release describes; returns its path.
pub fn given(release: &Release, binary: &Path) -> Result<PathBuf> {
    let binary = binary
        .canonicalize()
        .with_context(|| format!("no binary {}", binary.display()))?;
    if release.target == host()? {
        check_version(release, &binary)?;
        check_document(&binary)?;
    } else {
        let target = &release.target;
        println!("· a binary for {target} does not run here: it is not checked");
    }
    Ok(binary)
}

fn check_version(release: &Release, binary: &Path) -> Result<()> {
    let said = capture("the binary", Command::new(binary).arg("--version"))?;
    let commit = &release.commit;
    let expected = format!("patchbay-api {VERSION}\ncommit {commit}\n");
    ensure!(
        said.starts_with(&expected),
        "{} is not of this commit: build it with PATCHBAY_COMMIT={commit}. It says:\n{said}",
        binary.display()
    );
    Ok(())
}

fn check_document(binary: &Path) -> Result<()> {
    let document = capture("the binary", Command::new(binary).arg("openapi"))?;
    let committed = fs::read_to_string(cache::repository().join(DOCUMENT))?;
    ensure!(
        document == committed,
        "{DOCUMENT} is not what the binary says: run `cargo xtask openapi`"
    );
    Ok(())
}

/// Copies it into the release.
pub fn add(release: &Release, binary: &Path) -> Result<()> {
    let file = release.file(&format!("patchbay-api-{VERSION}-{}", release.target));
    fs::copy(binary, &file)?;
    Ok(fs::set_permissions(file, Permissions::from_mode(0o755))?)
}
