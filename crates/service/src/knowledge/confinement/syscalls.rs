//! The system calls that reading a document takes. All others fail with EPERM.
//!
//! They fail, and do not end the process, because libraries look at files of the system only to tune
//! themselves, and go on without.

use std::{collections::BTreeMap, env::consts::ARCH};

use anyhow::Context as _;
use libc::{MAP_ANONYMOUS, PROT_EXEC, SIGABRT, c_long};
use rustix::{process::getpid, thread::gettid};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Memory, threads that wait for each other, clocks, randomness, and the end.
const HARMLESS: [c_long; 18] = [
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

/// Confines all threads of the process; false where the kernel, or whatever this runs in, does not let it.
pub(super) fn deny_all_others() -> anyhow::Result<bool> {
    let Ok(arch) = TargetArch::try_from(ARCH) else {
        return Ok(false);
    };
    let rules = rules().context("seccomp")?;
    let (refuse, allow) = (
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
    );
    let filter = SeccompFilter::new(rules, refuse, allow, arch).context("seccomp")?;
    let program: BpfProgram = filter.try_into().context("seccomp")?;
    match apply_filter_all_threads(&program) {
        Ok(()) => Ok(true),
        Err(Error::Seccomp(_)) => Ok(false),
        Err(error) => Err(error).context("seccomp"),
    }
}

/// What may be called, and with which arguments: one of the rules of a call must hold, if it has some.
fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let (process, thread) = (getpid().as_raw_pid(), gettid().as_raw_pid());
    let no_code = mask(2, PROT_EXEC, 0);
    // Abort, which is how too much memory ends it; musl knows the second form alone.
    let abort = vec![equal(0, process), equal(2, SIGABRT)];
    let abort_thread = |thread| vec![equal(0, thread), equal(1, SIGABRT)];
    let input = || vec![vec![equal(0, 0)]];
    let output = || vec![vec![equal(0, 1)], vec![equal(0, 2)]];
    // No file can be mapped, and nothing that was written can be run.
    let memory = vec![no_code.clone(), mask(3, MAP_ANONYMOUS, MAP_ANONYMOUS)];
    let bound = [
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
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        HARMLESS.iter().map(|call| (*call, Vec::new())).collect();
    for (call, choices) in bound {
        let choices = choices.into_iter().map(rule).collect::<Result<_, _>>()?;
        rules.insert(call, choices);
    }
    Ok(rules)
}

/// That an argument, or some bits of it, have a value.
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
