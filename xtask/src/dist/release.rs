//! What is released, and from which commit.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::versions::VERSION;
use crate::{
    cache, dev,
    process::{capture, host},
};

/// A release in the making.
pub struct Release {
    /// The commit, with `-dirty` if the tree differs from it.
    pub commit: String,
    /// The time that files claim to be from, in seconds since 1970, so that the same commit gives the same files.
    pub epoch: String,
    /// Target triple of the binary.
    pub target: String,
    /// The folder that is filled.
    pub folder: PathBuf,
}

impl Release {
    /// Reads the commit, and makes the folder.
    pub fn open(target: Option<&str>, output: Option<&Path>) -> Result<Self> {
        Ok(Self {
            commit: commit()?,
            epoch: epoch()?,
            target: target.map_or_else(host, |target| Ok(target.to_owned()))?,
            folder: folder(output)?,
        })
    }

    /// Path of a file of the release.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn git(arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(cache::repository());
    Ok(capture("git", &mut git)?.trim().to_owned())
}

fn commit() -> Result<String> {
    let commit = git(&["rev-parse", "HEAD"])?;
    let is_clean = git(&["status", "--porcelain"])?.is_empty();
    Ok(if is_clean { commit } else { commit + "-dirty" })
}

/// `SOURCE_DATE_EPOCH`, as tools for reproducible builds know it, or the time of the commit.
fn epoch() -> Result<String> {
    let epoch = env::var("SOURCE_DATE_EPOCH").or_else(|_| git(&["log", "-1", "--format=%ct"]))?;
    let number: Result<u64, _> = epoch.parse();
    number.with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: {epoch}"))?;
    Ok(epoch)
}

/// An empty folder. Only the one that this command itself names is emptied.
fn folder(output: Option<&Path>) -> Result<PathBuf> {
    let folder = match output {
        Some(output) => output.to_owned(),
        None => {
            let ours = dev::target().join(format!("dist-{VERSION}"));
            if ours.exists() {
                fs::remove_dir_all(&ours)?;
            }
            ours
        }
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    ensure!(
        fs::read_dir(&folder)?.next().is_none(),
        "{} is not empty",
        folder.display()
    );
    // Tools run in the repository, whichever folder this command was called in.
    folder.canonicalize().map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_others_is_never_emptied() {
        let there = env::temp_dir().join(format!("xtask-dist-{}", std::process::id()));
        let made = folder(Some(&there)).unwrap();
        fs::write(made.join("file"), "kept").unwrap();
        let error = folder(Some(&there)).unwrap_err().to_string();
        assert!(error.ends_with("is not empty"), "{error}");
        assert!(made.join("file").exists());
        fs::remove_dir_all(made).unwrap();
    }
}
