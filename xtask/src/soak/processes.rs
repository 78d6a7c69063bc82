//! `cargo xtask soak --processes 3`: several processes under load. One is killed, one stopped and one paused, each amid its
//! work; then every effect must have happened once, and no acknowledged write may be lost.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{
    checks::Database,
    claims,
    fleet::{Fleet, SETTINGS},
    in_flight::Uploads,
    ledger::Ledger,
    load::Load,
    webhooks,
};
use crate::{
    dev,
    process::{Server, interrupted, patience},
    seed,
    tools::Tools,
};

/// How long the third process is paused: twice as long as a lease.
const PAUSE: Duration = Duration::from_secs(60);
/// Time within which a process that is to stop has done so, as it promises.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// Time within which a process that goes on after a pause has noticed what it has lost.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);
/// Time for requests to be in flight.
const SENT_WITHIN: Duration = Duration::from_secs(20);

/// A drill on running processes.
struct Drill<'a> {
    fleet: Fleet,
    ledger: &'a Ledger,
    database: Database<'a>,
}

/// Runs the drill.
pub fn run(tools: &Tools, folder: &Path, count: usize) -> Result<()> {
    let mut fleet = Fleet::start(tools, folder, &dev::binary("debug"), &SETTINGS)?;
    for _ in 1..count {
        fleet.add()?;
    }
    let seeded = seed::seed(&fleet.running.base, &fleet.running.operator_key, "soak")?;
    let ledger = Ledger::new(&fleet.running.base, &seeded, 0);
    let url = fleet.running.stack.database_owner_url.clone();
    let database = Database {
        tools,
        url: &url,
        tenant: &seeded.tenant,
    };
    let started = Instant::now();
    let mut drill = Drill {
        fleet,
        ledger: &ledger,
        database,
    };
    Load::ALL.run(&ledger, || {
        println!("{count} processes under load:");
        ledger.wait_for_progress()?;
        drill.kill(0)?;
        drill.terminate(1)?;
        drill.pause(2)?;
        ledger.wait_for_progress()
    })?;
    let under_load = started.elapsed();
    drill.database.require_acknowledged(&ledger)?;
    let done = drill.database.require_effects_once()?;
    let log = drill.fleet.livekit()?.log();
    let (events, deliveries) = webhooks::require_applied(&drill.database, log)?;
    ledger.entries().print(under_load);
    println!(
        "  no acknowledged write lost or twice; one room, agent run, agent and audit event each; all jobs done {:.1} s after the load",
        done.as_secs_f64()
    );
    println!("  {events} webhook events, delivered {deliveries} times, each applied once");
    Ok(())
}

impl Drill<'_> {
    /// Kills a process amid its jobs, and starts it again.
    fn kill(&mut self, index: usize) -> Result<()> {
        let (fleet, ledger, database) = (&mut self.fleet, self.ledger, &self.database);
        let mut ready = Duration::ZERO;
        let kill = |server: &mut Server| {
            server.kill();
            Ok(())
        };
        let taken = claims::lose(fleet, index, (ledger, database), kill, |fleet| {
            let started = Instant::now();
            fleet.server(index).start_again()?;
            fleet.wait_until_ready(index)?;
            ready = started.elapsed();
            Ok(())
        })?;
        println!(
            "  killed with SIGKILL: ready {:.1} s after it was started again; {taken}",
            ready.as_secs_f64()
        );
        self.ledger.wait_for_progress()
    }

    /// Stops a process in order amid its requests, and starts it again.
    fn terminate(&mut self, index: usize) -> Result<()> {
        let broken = self.ledger.entries().broken;
        let uploads = Uploads::send(self.ledger, &self.fleet.base(index));
        let query = "objects WHERE state = 'uploading' AND created_at < now() - interval '1 s'";
        let deadline = Instant::now() + patience(SENT_WITHIN);
        while self.database.count(query)? < Uploads::COUNT {
            ensure!(Instant::now() < deadline, "uploads are not in flight");
            thread::sleep(Duration::from_millis(50));
        }
        let asked_at = Instant::now();
        self.fleet.server(index).signal(Signal::TERM)?;
        while self.fleet.is_ready(index) {
            ensure!(asked_at.elapsed() < STOPPED_WITHIN, "it is still ready");
            thread::sleep(Duration::from_millis(20));
        }
        let answered = uploads.finish(self.ledger)?;
        let status = self.fleet.server(index).wait(STOPPED_WITHIN)?;
        let stopped = asked_at.elapsed().as_secs_f64();
        ensure!(status.success(), "it ended with {status}");
        let broken = self.ledger.entries().broken - broken;
        self.fleet.server(index).start_again()?;
        self.fleet.wait_until_ready(index)?;
        println!(
            "  stopped with SIGTERM: {answered} uploads in flight acknowledged, exit code 0 after {stopped:.1} s, {broken} connections broken"
        );
        self.ledger.wait_for_progress()
    }

    /// Pauses a process amid its jobs, and lets it go on when others have long taken them.
    fn pause(&mut self, index: usize) -> Result<()> {
        let (fleet, ledger, database) = (&mut self.fleet, self.ledger, &self.database);
        let mut paused = Instant::now();
        let pause = |server: &mut Server| {
            paused = Instant::now();
            server.signal(Signal::STOP)
        };
        let taken = claims::lose(fleet, index, (ledger, database), pause, |_| Ok(()))?;
        let log = fleet.server(index).log().to_owned();
        while paused.elapsed() < PAUSE {
            ensure!(!interrupted(), "interrupted");
            thread::sleep(Duration::from_millis(100));
        }
        let before = taken.fingerprint(database)?;
        let noticed = || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            log.matches("claim was lost").count() + log.matches("taken the job over").count()
        };
        ensure!(noticed() == 0, "it has lost a claim before its pause");
        fleet.server(index).signal(Signal::CONT)?;
        let resumed = Instant::now();
        while noticed() < taken.lost() || !fleet.is_ready(index) {
            let (noticed, lost) = (noticed(), taken.lost());
            ensure!(
                resumed.elapsed() < patience(NOTICED_WITHIN),
                "it has noticed {noticed} of {lost} lost claims"
            );
            thread::sleep(Duration::from_millis(20));
        }
        let ready = resumed.elapsed().as_secs_f64();
        self.ledger.wait_for_progress()?;
        let changed = taken.fingerprint(&self.database)? != before;
        ensure!(
            !changed,
            "the process that was paused has changed sessions of others"
        );
        println!(
            "  paused for {PAUSE:?} with SIGSTOP: {taken}; ready {ready:.1} s after SIGCONT, and its late writes changed nothing"
        );
        Ok(())
    }
}
