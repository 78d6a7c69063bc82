//! What a job of the reference worker costs: its memory, and the time until its agent has joined, with threads and with
//! processes that are started for their job or wait for one.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;

use super::subject::Bench;
use crate::{
    dev,
    process::{interrupted, wait_for},
    seed::{self, Client, text},
    stack::Ports,
};

const JOBS: usize = 5;
/// The ways in which jobs are kept apart: their name, and the worker's settings.
const WAYS: [(&str, [(&str, &str); 2]); 3] = [
    (
        "threads",
        [EXECUTOR_THREAD, ("PATCHBAY_WORKER_IDLE_PROCESSES", "0")],
    ),
    (
        "processes, cold",
        [EXECUTOR_PROCESS, ("PATCHBAY_WORKER_IDLE_PROCESSES", "0")],
    ),
    (
        "processes, warm",
        [EXECUTOR_PROCESS, ("PATCHBAY_WORKER_IDLE_PROCESSES", "3")],
    ),
];
const EXECUTOR_THREAD: (&str, &str) = ("PATCHBAY_WORKER_EXECUTOR", "thread");
const EXECUTOR_PROCESS: (&str, &str) = ("PATCHBAY_WORKER_EXECUTOR", "process");

/// Runs the benchmark.
pub fn measure(bench: &Bench<'_>) -> Result<()> {
    let folder = bench.folder.join("worker");
    fs::create_dir_all(&folder)?;
    let mut running = dev::start_binary(bench.tools, &folder, &Ports::FREE, bench.binary, &[])?;
    running.worker.stop();
    let seeded = seed::seed(&running.base, &running.operator_key, "worker")?;
    println!("\n{JOBS} jobs of the reference worker (kind `echo`), one after the other:");
    let client = Client::new(&running.base, &seeded.key);
    let at = format!("/api/tenants/{}/sessions", seeded.tenant);
    let body =
        json!({ "agent_id": seeded.agent, "variables": { "company": "Acme" }, "start": true });
    for (name, settings) in WAYS {
        let log = folder.join("worker-again.log");
        let mut worker = running.worker.again(&settings, &log)?;
        wait_for(
            "the worker",
            Duration::from_secs(60),
            &log,
            &mut worker,
            || fs::read_to_string(&log).is_ok_and(|text| text.contains("registered worker")),
        )?;
        // Warm processes are ready by then.
        thread::sleep(Duration::from_secs(10));
        let idle = memory(worker.pid());
        let (mut times, mut paths) = (Vec::new(), Vec::new());
        for _ in 0..JOBS {
            let started = Instant::now();
            let made = client.post(&at, &body)?;
            let path = format!("{at}/{}", text(&made, "/id")?);
            while text(&client.get(&path)?, "/state")? != "running" {
                ensure!(!interrupted(), "interrupted");
                ensure!(started.elapsed() < Duration::from_secs(60), "no agent came");
                thread::sleep(Duration::from_millis(10));
            }
            times.push(started.elapsed().as_secs_f64());
            paths.push(path);
            // The pool is filled again meanwhile.
            thread::sleep(Duration::from_secs(4));
        }
        let busy = memory(worker.pid());
        times.sort_by(f64::total_cmp);
        println!(
            "  {name:<16} joined after {:.2} s at the median, {:.2} s at most; memory {idle} MiB idle, {busy} MiB with {JOBS} jobs: {} MiB for each",
            times[JOBS / 2],
            times[JOBS - 1],
            busy.saturating_sub(idle) / JOBS as u64
        );
        for path in paths {
            client.post(&format!("{path}/stop"), &json!({}))?;
        }
        worker.stop();
    }
    Ok(())
}

/// Memory of a process and its descendants in MiB, with what they share counted once.
fn memory(pid: u32) -> u64 {
    let mut processes = vec![pid];
    let mut kib = 0;
    while let Some(pid) = processes.pop() {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let pss = pss.and_then(|pss| pss.split_whitespace().next()?.parse::<u64>().ok());
        kib += pss.unwrap_or_default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            processes.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    kib / 1024
}
