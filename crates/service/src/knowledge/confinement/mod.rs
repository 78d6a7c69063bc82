//! Confinement of the extraction process: it loses access to files, the network and other processes.
//!
//! There are three independent layers, so that a missing one is partly made up for by the others: Landlock, seccomp,
//! and resource limits that allow no further descriptor or process. None of them can be undone by the process.

mod findings;
mod probe;
mod syscalls;

use std::thread::{self, Builder};

use anyhow::Context as _;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
    thread::{no_new_privs, set_no_new_privs},
};

pub use findings::{Findings, log_layers, run_probe};
pub use probe::{ProbeArgs, run};

/// Everything that Landlock can deny. On an older kernel the subset that it supports is denied.
const ALL: ABI = ABI::V10;

/// The layers that are in effect.
#[derive(Clone, Copy, Debug)]
pub struct Layers {
    /// Whether no_new_privs is set, so that programs it executes gain no privileges.
    pub no_new_privs: bool,
    /// Landlock ABI version, which determines what is covered; `None` if the kernel does not support it.
    pub landlock: Option<u32>,
    /// Whether seccomp filters system calls.
    pub seccomp: bool,
}

/// Prevents other processes of the same user from reading the memory and environment of this one, and core dumps.
pub fn hide_memory() -> anyhow::Result<()> {
    let result = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    result.context("the process could not be made undumpable")
}

/// Confines the process and runs `work` in a new thread. From then on the process can only compute, read standard
/// input, write to standard output and exit, so all files that it needs must be open already.
///
/// Returns the result of the thread, which is an error if it panicked.
pub fn run_confined<T: Send + 'static>(
    stack: usize,
    work: impl FnOnce(Layers) -> T + Send + 'static,
) -> anyhow::Result<thread::Result<T>> {
    close_inherited();
    set_no_new_privs(true).context("no_new_privs could not be set")?;
    let no_new_privs = no_new_privs()?;
    hide_memory()?;
    // Threads that are started from here on inherit it.
    let landlock = restrict_by_landlock()?;
    set_limit(Resource::Nofile, 0)?;
    let thread = Builder::new().stack_size(stack).spawn(move || {
        set_limit(Resource::Nproc, 0)?;
        let seccomp = syscalls::apply_filter()?;
        anyhow::Ok(work(Layers {
            no_new_privs,
            landlock,
            seccomp,
        }))
    });
    Ok(match thread?.join() {
        Ok(result) => Ok(result?),
        Err(panic) => Err(panic),
    })
}

/// Closes descriptors that were inherited from the parent process.
fn close_inherited() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // The list is collected first, because the directory itself has a descriptor while it is read.
    let numbers: Vec<i32> = numbers.filter(|number| *number > 2).collect();
    for number in numbers {
        let _ = nix::unistd::close(number);
    }
}

/// Sets a hard resource limit, which the process cannot raise again.
pub fn set_limit(resource: Resource, maximum: u64) -> anyhow::Result<()> {
    let limit = Rlimit {
        current: Some(maximum),
        maximum: Some(maximum),
    };
    setrlimit(resource, limit).context("a resource limit could not be set")
}

/// Denies this thread, and those that it starts, access to files, TCP and other processes by Landlock. Returns the
/// ABI version, or `None` if the kernel does not support Landlock.
fn restrict_by_landlock() -> anyhow::Result<Option<u32>> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ALL))?
        .handle_access(AccessNet::from_all(ALL))?
        .scope(Scope::from_all(ALL))?
        .create()?
        .restrict_self()
        .context("Landlock")?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, .. }) => Some(effective_abi as u32),
        _ => None,
    })
}
