//! The seccomp filter: it allows the system calls that the extraction needs, and all others fail with EPERM.
//!
//! They fail instead of killing the process, because libraries read system files only for tuning and continue without
//! them.

use std::{collections::BTreeMap, env::consts::ARCH};

use anyhow::Context as _;
use libc::{MAP_ANONYMOUS, PROT_EXEC, SIGABRT, c_long};
use rustix::{process::getpid, thread::gettid};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// System calls that are allowed with any arguments: memory, thread synchronisation, clocks, randomness and exit.
const UNRESTRICTED: [c_long; 18] = [
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
];

/// Applies the filter to all threads of the process. Returns false if the kernel or the container does not allow it.
pub(super) fn apply_filter() -> anyhow::Result<bool> {
    let Ok(arch) = TargetArch::try_from(ARCH) else {
        return Ok(false);
    };
    let rules = rules().context("seccomp")?;
    let (deny, allow) = (
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
    );
    let filter = SeccompFilter::new(rules, deny, allow, arch).context("seccomp")?;
    let program: BpfProgram = filter.try_into().context("seccomp")?;
    match apply_filter_all_threads(&program) {
        Ok(()) => Ok(true),
        Err(Error::Seccomp(_)) => Ok(false),
        Err(error) => Err(error).context("seccomp"),
    }
}

/// Returns the allowed system calls with their rules: if a call has rules, one of them must match its arguments.
fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let (process, thread) = (getpid().as_raw_pid(), gettid().as_raw_pid());
    let no_code = mask(2, PROT_EXEC, 0);
    // Abort, which the process does when it is out of memory. musl uses only tkill.
    let abort = vec![equal(0, process), equal(2, SIGABRT)];
    let abort_thread = |thread| vec![equal(0, thread), equal(1, SIGABRT)];
    let input = || vec![vec![equal(0, 0)]];
    let output = || vec![vec![equal(0, 1)], vec![equal(0, 2)]];
    // Mappings must be anonymous, and never executable.
    let memory = vec![no_code.clone(), mask(3, MAP_ANONYMOUS, MAP_ANONYMOUS)];
    let restricted = [
        (libc::SYS_read, input()),
        (libc::SYS_readv, input()),
        (libc::SYS_write, output()),
        (libc::SYS_writev, output()),
        (libc::SYS_mmap, vec![memory]),
        (libc::SYS_mprotect, vec![vec![no_code]]),
        (libc::SYS_tgkill, vec![abort]),
        (
            libc::SYS_tkill,
            vec![abort_thread(process), abort_thread(thread)],
        ),
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = UNRESTRICTED
        .iter()
        .map(|call| (*call, Vec::new()))
        .collect();
    for (call, alternatives) in restricted {
        let alternatives = alternatives
            .into_iter()
            .map(rule)
            .collect::<Result<_, _>>()?;
        rules.insert(call, alternatives);
    }
    Ok(rules)
}

/// Condition on an argument or some of its bits: index, comparison and value.
type Condition = (u8, SeccompCmpOp, u64);

fn equal(argument: u8, value: i32) -> Condition {
    (argument, SeccompCmpOp::Eq, value.unsigned_abs().into())
}

fn mask(argument: u8, bits: i32, value: i32) -> Condition {
    let bits = SeccompCmpOp::MaskedEq(bits.unsigned_abs().into());
    (argument, bits, value.unsigned_abs().into())
}

fn rule(conditions: Vec<Condition>) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.into_iter();
    let conditions = conditions
        .map(|(argument, how, value)| SeccompCondition::new(argument, Dword, how, value))
        .collect::<Result<_, _>>()?;
    SeccompRule::new(conditions)
}
