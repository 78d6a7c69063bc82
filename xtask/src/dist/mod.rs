//! `cargo xtask dist`: a release in one folder.

mod binary;
mod crates;
mod notices;
mod release;
mod sbom;
mod versions;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use sha2::{Digest as _, Sha256};

use self::{
    release::Release,
    versions::{DOCUMENT, VERSION},
};
use crate::{
    cache,
    process::{cargo, catch_signals, run_quiet, succeeds},
};

pub use versions::check as check_versions;

/// Subcommands of Cargo that are needed, and how to install them.
const TOOLS: [(&str, &str); 2] = [
    (
        "about",
        "cargo install --locked --features cli cargo-about@0.9.3",
    ),
    ("cyclonedx", "cargo install --locked cargo-cyclonedx@0.5.9"),
];
const CHECKSUMS: &str = "SHA256SUMS";

/// What is packaged, and where.
#[derive(clap::Args)]
pub struct Options {
    /// Package this binary, which was built elsewhere from the same commit, instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Target triple of the binary [default: that of this machine].
    #[arg(long)]
    target: Option<String>,
    /// Folder to write, which must be empty or absent [default: target/dist-<version>].
    #[arg(long)]
    output: Option<PathBuf>,
}

/// The command. The build, which takes longest, comes last, so that what is wrong is reported before.
pub fn make(options: &Options) -> Result<()> {
    catch_signals()?;
    ensure_tools()?;
    check_versions()?;
    let release = Release::open(options.target.as_deref(), options.output.as_deref())?;
    println!(
        "▸ Patchbay {VERSION}, commit {}, for {}",
        release.commit, release.target
    );
    let given = match &options.binary {
        Some(file) => Some(binary::given(&release, file)?),
        None => None,
    };
    copy_texts(&release)?;
    pack_chart(&release)?;
    let crates = crates::in_binary(&release.target)?;
    notices::write(&release, &crates)?;
    sbom::write(&release, &crates)?;
    let binary = match given {
        Some(binary) => binary,
        None => binary::build(&release, options.target.is_some())?,
    };
    binary::add(&release, &binary)?;
    add_checksums(&release.folder)
}

fn ensure_tools() -> Result<()> {
    let is_missing = |tool: &&(&str, &str)| !succeeds(&mut cargo(&[tool.0, "--version"]));
    let missing = TOOLS.iter().filter(is_missing);
    let missing: Vec<_> = missing
        .map(|(tool, how)| format!("cargo-{tool} is missing ({how})"))
        .collect();
    ensure!(missing.is_empty(), "{}", missing.join("; "));
    Ok(())
}

/// The document, the changelog, and the licence if the repository has its text.
fn copy_texts(release: &Release) -> Result<()> {
    let root = cache::repository();
    let document = format!("patchbay-{VERSION}.openapi.json");
    fs::copy(root.join(DOCUMENT), release.file(&document))?;
    fs::copy(root.join("CHANGELOG.md"), release.file("CHANGELOG.md"))?;
    if root.join("LICENSE").exists() {
        fs::copy(root.join("LICENSE"), release.file("LICENSE"))?;
    }
    Ok(())
}

/// Packs the chart as `helm package` does, with the files that its links lead to. That command writes the time of day into the
/// package, so that no two are equal.
fn pack_chart(release: &Release) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--gzip",
        "--dereference",
        "--sort=name",
        "--format=ustar",
    ])
    .args([
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ])
    .arg(format!("--mtime=@{}", release.epoch))
    .arg("--file")
    .arg(release.file(&format!("patchbay-{VERSION}.tgz")))
    .arg("--directory")
    .arg(cache::repository().join("deploy/helm"))
    .arg("patchbay");
    run_quiet("packing the chart (GNU tar)", &mut tar)
}

/// Writes the checksums of all files, as `sha256sum --check` reads them, and prints what there is.
fn add_checksums(folder: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut lines = String::new();
    println!("▸ {}", folder.display());
    for name in names {
        let bytes = fs::read(folder.join(&name))?;
        println!("  {:>10} bytes  {name}", bytes.len());
        lines += &format!("{:x}  {name}\n", Sha256::digest(bytes));
    }
    Ok(fs::write(folder.join(CHECKSUMS), lines)?)
}
