//! Takes away from a process what it does not need to turn bytes into text: files, network, and other
//! processes.
//!
//! Three layers lie above one another, and each holds where another is missing: Landlock, seccomp, and
//! limits that leave no room for a further descriptor or process. The kernel takes none of them back.

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

pub use findings::{Findings, run_probe};
pub use probe::{Probe, run};

/// Everything that Landlock can deny; of what the kernel does not know yet, it denies the rest.
const ALL: ABI = ABI::V10;

/// Which layers the kernel has.
#[derive(Clone, Copy, Debug)]
pub struct Layers {
    /// Whether nothing that it could start would have more rights.
    pub no_new_privs: bool,
    /// Version of Landlock's interface, which says what it covers.
    pub landlock: Option<u32>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
}

/// Keeps processes of the same user from reading this one's memory and environment, and it from dumping core.
pub fn hide_memory() -> anyhow::Result<()> {
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    hidden.context("the process could not be made unreadable for others")
}

/// Runs `work` in a thread of its own. From then on the process can compute, read its standard input,
/// write to its standard output and end, and nothing else, so what it needs must be open before.
///
/// Answers as a thread does: an error is its panic.
pub fn confined<T: Send + 'static>(
    stack: usize,
    work: impl FnOnce(Layers) -> T + Send + 'static,
) -> anyhow::Result<thread::Result<T>> {
    close_inherited();
    set_no_new_privs(true).context("no_new_privs could not be set")?;
    let no_new_privs = no_new_privs()?;
    hide_memory()?;
    // Threads that begin from here on are under it, too.
    let landlock = deny_paths()?;
    limit(Resource::Nofile, 0)?;
    let thread = Builder::new().stack_size(stack).spawn(move || {
        limit(Resource::Nproc, 0)?;
        let seccomp = syscalls::deny_all_others()?;
        anyhow::Ok(work(Layers {
            no_new_privs,
            landlock,
            seccomp,
        }))
    });
    Ok(match thread?.join() {
        Ok(done) => Ok(done?),
        Err(panic) => Err(panic),
    })
}

/// Closes what whoever started the service had open, and was passed on to here.
fn close_inherited() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // Read to the end before: the folder itself is open meanwhile.
    let numbers: Vec<i32> = numbers.filter(|number| *number > 2).collect();
    for number in numbers {
        let _ = nix::unistd::close(number);
    }
}

/// Sets a limit of the process that it cannot raise again.
pub fn limit(resource: Resource, most: u64) -> anyhow::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).context("a limit could not be set")
}

/// Lets this thread, and those that it begins, reach no file, no network and no process by name; answers
/// with the version of Landlock's interface, if the kernel has it.
fn deny_paths() -> anyhow::Result<Option<u32>> {
    let denied = Ruleset::default()
        .handle_access(AccessFs::from_all(ALL))?
        .handle_access(AccessNet::from_all(ALL))?
        .scope(Scope::from_all(ALL))?
        .create()?
        .restrict_self()
        .context("Landlock")?;
    Ok(match (denied.ruleset, denied.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, .. }) => Some(effective_abi as u32),
        _ => None,
    })
}
