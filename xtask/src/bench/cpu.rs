//! Processor time and memory of processes.

use std::{fs, process};

use crate::dev::Running;

/// Microseconds of a tick, the unit of the kernel.
const TICK: u64 = 10_000;

/// Processor time in microseconds that was used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// By the api.
    pub api: u64,
    /// By PostgreSQL; 0 if it is not of this stack.
    pub postgres: u64,
    /// By the load generator: this process.
    pub load: u64,
}

impl Usage {
    /// The usage of a stack until now.
    pub fn of(running: &Running) -> Self {
        let postgres = running.stack.postgres_pid();
        Self {
            api: cpu(running.api_pid()) * TICK,
            postgres: postgres.map_or(0, cpu_with_children) * TICK,
            load: cpu(process::id()) * TICK,
        }
    }

    /// The usage since an earlier time.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            api: self.api - earlier.api,
            postgres: self.postgres.saturating_sub(earlier.postgres),
            load: self.load - earlier.load,
        }
    }
}

/// Processor time of a process, in ticks of 10 ms.
pub fn cpu(pid: u32) -> u64 {
    times(pid)[..2].iter().sum()
}

/// The same with the processes that it has started.
pub fn cpu_with_children(pid: u32) -> u64 {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    times(pid).iter().sum::<u64>() + children.map(cpu).sum::<u64>()
}

/// Processor time in ticks: of the process as a user and in the kernel, and the same of the children that have ended.
fn times(pid: u32) -> [u64; 4] {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let mut times = fields
        .split(' ')
        .skip(11)
        .map(|field| field.parse().unwrap_or_default());
    [(); 4].map(|()| times.next().unwrap_or_default())
}

/// Maximum memory of a process so far, in MiB.
pub fn memory_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_default()
        / 1024
}
