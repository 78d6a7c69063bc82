//! Folders of downloads and data, outside of the repository.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

/// Root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Whether this process runs as root: PostgreSQL refuses to, and root's home is not readable by others.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// The cache folder of the user; `PATCHBAY_CACHE` overrides it.
pub fn directory() -> Result<PathBuf> {
    let path = if let Some(path) = env::var_os("PATCHBAY_CACHE") {
        PathBuf::from(path)
    } else if is_root() {
        PathBuf::from("/var/cache/patchbay")
    } else if let Some(path) = env::var_os("XDG_CACHE_HOME") {
        PathBuf::from(path).join("patchbay")
    } else {
        let home = env::var_os("HOME").context("HOME is not set; set PATCHBAY_CACHE")?;
        PathBuf::from(home).join(".cache/patchbay")
    };
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// A folder for one run of a command. Folders of earlier runs whose process has ended are removed, so the logs of
/// a failed run stay until the next.
pub fn scratch(command: &str) -> Result<PathBuf> {
    let root = directory()?;
    for entry in fs::read_dir(&root)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let pid = name.and_then(|name| name.strip_prefix(command)?.strip_prefix('-')?.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        if test_kill_process(pid) == Err(Errno::SRCH) {
            let _ = fs::remove_dir_all(path);
        }
    }
    Ok(root.join(format!("{command}-{}", std::process::id())))
}

/// Waits for a lock on `name` in the cache; held until the file is dropped.
pub fn lock(name: &str) -> Result<File> {
    let file = File::create(directory()?.join(format!("{name}.lock")))?;
    if file.try_lock().is_err() {
        eprintln!("· waiting for another xtask ({name})");
        file.lock()?;
    }
    Ok(file)
}
