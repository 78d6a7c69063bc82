//! Where downloads and data live: never in the repository.

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

/// Whether we are root: PostgreSQL refuses to run as root, and root's home is closed to others.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// The cache folder of the user; `PATCHBAY_CACHE` names another.
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

/// A folder for one run of a command. What earlier runs of it have left, once their process is gone, is
/// removed: the logs of the last one that failed stay until the next.
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
