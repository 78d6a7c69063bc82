//! `cargo xtask test`: all tests, on dedicated servers.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use crate::{
    cache, check, citus, clients,
    pgbouncer::{self, PgBouncer},
    phone,
    process::{FAULTS, STACK, cargo, catch_signals, run},
    stack::{Ports, Stack},
    steps::Steps,
    timings::Timings,
    tls,
    tools::{self, Tools},
};

/// Tests that measure latencies under load: nothing else may run beside them.
const ALONE: &str = "busy::";
/// Tests of PostgreSQL over TLS.
const TLS: &str = "tls::";
/// Tests that use all of a processor: other tests would miss their short deadlines beside them.
const MODEL: [&str; 3] = ["knowledge::", "search::", "embeddings::"];

/// Environment variables of the tests.
type Environment = Vec<(&'static str, String)>;

/// A server in front of PostgreSQL, or in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    /// PgBouncer, in front of it.
    Pgbouncer,
    /// A given Citus, in its place.
    Citus,
}

/// Which tests are run.
#[derive(clap::Args)]
pub struct Options {
    /// Only tests whose names contain this, without checks.
    filter: Option<String>,
    /// Only the integration tests on this, without checks.
    #[arg(long)]
    on: Option<Database>,
    /// Print the slowest tests.
    #[arg(long)]
    timings: bool,
}

impl Options {
    /// Why checks are left out, if they are.
    fn selection(&self) -> Option<String> {
        match (&self.filter, self.on) {
            (None, None) => None,
            (_, Some(_)) => Some("only tests on one server are asked for".to_owned()),
            (Some(name), None) => Some(format!(
                "only tests named `{name}` are asked for; leave the name out"
            )),
        }
    }
}

/// The command.
pub fn all(options: &Options) -> Result<()> {
    catch_signals()?;
    let mut steps = Steps::default();
    let mut timings = options.timings.then(Timings::default);
    match steps.run("build, and servers for the tests", build) {
        Some(tools) => everything(&mut steps, &tools, options, &mut timings),
        None => steps.skip("checks and tests", "what they need is not there, see above"),
    }
    if let Some(timings) = timings {
        timings.print();
    }
    steps.finish()
}

fn build() -> Result<Tools> {
    tools::ensure(|| {
        run(
            "building everything",
            &mut cargo(&[
                "build",
                "--workspace",
                "--all-targets",
                "--features",
                FAULTS,
            ]),
        )
    })
}

fn everything(steps: &mut Steps, tools: &Tools, options: &Options, timings: &mut Option<Timings>) {
    let selection = options.selection();
    match &selection {
        None => checks(steps, tools),
        Some(why) => steps.skip("checks, clients, worker", why),
    }
    let start = || {
        let folder = cache::scratch("test")?;
        let stack = start_stack(tools, &folder)?;
        Ok((folder, stack))
    };
    let Some((folder, stack)) = steps.run("servers of the tests", start) else {
        steps.skip("tests", "their servers do not run, see above");
        return;
    };
    let before = steps.failures();
    let mut suite = Suite {
        steps: &mut *steps,
        environment: environment(tools, &stack),
        timings,
    };
    let name = options.filter.as_deref().unwrap_or_default();
    if options.on.is_none() {
        suite.run(name);
    }
    if options.on != Some(Database::Citus) {
        suite.behind_pgbouncer(name, || pgbouncer::start(tools, &stack, &folder));
    }
    if options.on != Some(Database::Pgbouncer) {
        suite.on_citus(name, tools);
    }
    drop(stack);
    if selection.is_none() {
        steps.run(clients::STORY, || clients::story(tools));
    }
    if steps.failures() == before {
        let _ = fs::remove_dir_all(&folder);
    } else {
        println!("· the servers' logs are in {}", folder.display());
    }
}

fn checks(steps: &mut Steps, tools: &Tools) {
    check::run(steps);
    steps.run_unless(clients::missing, clients::STEP, clients::check);
    let worker = cache::repository().join("deploy/agent-worker");
    steps.command(
        "worker, pure parts",
        Command::new(&tools.python)
            .args(["-B", "-m", "unittest", "--quiet"])
            .current_dir(worker),
    );
}

fn start_stack(tools: &Tools, folder: &Path) -> Result<Stack> {
    for name in ["DATABASE_URL", "LIVEKIT_URL"] {
        if std::env::var_os(name).is_some() {
            println!("· {name} is set, and the tests use it");
        }
    }
    Stack::start(tools, folder, &Ports::FREE, &[])
}

fn environment(tools: &Tools, stack: &Stack) -> Environment {
    let path = |path: &Path| path.display().to_string();
    vec![
        ("PATCHBAY_TEST_DATABASE_URL", stack.database_url.clone()),
        (
            "PATCHBAY_TEST_DATABASE_OWNER_URL",
            stack.database_owner_url.clone(),
        ),
        ("PATCHBAY_TEST_LIVEKIT_URL", stack.livekit_url.clone()),
        ("PATCHBAY_TEST_LIVEKIT_KEY", stack.livekit_key.clone()),
        ("PATCHBAY_TEST_LIVEKIT_SECRET", stack.livekit_secret.clone()),
        ("PATCHBAY_TEST_LIVEKIT_SERVER", path(&tools.livekit)),
        ("PATCHBAY_TEST_VALKEY_SERVER", path(&tools.valkey)),
        (
            "PATCHBAY_TEST_PG_DUMP",
            path(&tools.postgres.join("pg_dump")),
        ),
        ("PATCHBAY_TEST_PYTHON", path(&tools.python)),
        (tls::VARIABLE, tls::programs().unwrap_or_default()),
        ("PATCHBAY_TEST_MODEL", path(&tools.model)),
        ("PATCHBAY_TEST_FOLDER", path(&stack.folder)),
        (STACK.0, STACK.1.to_owned()),
        // As the service sets it for itself.
        ("CANDLE_NUM_THREADS", "1".to_owned()),
    ]
}

/// Options of the test harness for the tests with this in their names that may run beside each other.
fn quick(name: &str) -> Vec<&str> {
    let mut options = vec![name, "--skip", "e2e::"];
    if name.is_empty() {
        let later = MODEL.iter().chain([&ALONE]);
        options.extend(later.flat_map(|name| ["--skip", name]));
    }
    options
}

/// The tests, on their servers.
struct Suite<'a> {
    steps: &'a mut Steps,
    environment: Environment,
    timings: &'a mut Option<Timings>,
}

impl Suite<'_> {
    /// Runs the tests whose names contain this.
    fn run(&mut self, name: &str) {
        self.step("unit and integration tests", &["--quiet"], &quick(name));
        if name.is_empty() {
            self.step("tests that keep a model busy", &["--quiet"], &MODEL);
        }
        // `e2e::` includes them all; a filter selects some of them.
        match name {
            "" => self.end_to_end(&["e2e::", ALONE]),
            name if name.starts_with("e2e::") => self.end_to_end(&[name]),
            _ => {
                let why = "their names begin with `e2e::`";
                self.steps.skip("end-to-end tests", why);
            }
        }
        if name.is_empty() || name.starts_with(TLS) {
            self.over_tls();
        }
    }

    /// The integration tests, with PgBouncer between the service and PostgreSQL.
    fn behind_pgbouncer(&mut self, name: &str, start: impl FnOnce() -> Result<PgBouncer>) {
        let step = "integration tests behind PgBouncer";
        if !pgbouncer::is_there() {
            return self.steps.skip(step, pgbouncer::MISSING);
        }
        let Some(pgbouncer) = self.steps.run("PgBouncer", start) else {
            return self.steps.skip(step, "it does not run, see above");
        };
        let pooled = ("PATCHBAY_TEST_POOLED_DATABASE_URL", pgbouncer.url.clone());
        self.once_more(step, name, &[pooled]);
    }

    /// The integration tests, on distributed tables.
    fn on_citus(&mut self, name: &str, tools: &Tools) {
        let step = "integration tests on Citus";
        let Some(url) = citus::given() else {
            return self.steps.skip(step, citus::MISSING);
        };
        let prepare = || citus::prepare(tools, &url);
        let Some(citus) = self.steps.run("Citus", prepare) else {
            return self.steps.skip(step, "it cannot be used, see above");
        };
        let databases = [
            ("PATCHBAY_TEST_DATABASE_URL", citus.url),
            ("PATCHBAY_TEST_DATABASE_OWNER_URL", citus.owner_url),
            ("PATCHBAY_TEST_DISTRIBUTED", "1".to_owned()),
        ];
        self.once_more(step, name, &databases);
    }

    /// The integration tests that do not measure and need no model, with other servers.
    fn once_more(&mut self, step: &str, name: &str, servers: &[(&'static str, String)]) {
        let environment = self.environment.clone();
        self.environment.extend_from_slice(servers);
        self.step(step, &["--quiet", "--test", "it"], &quick(name));
        self.environment = environment;
    }

    /// The tests that need a PostgreSQL with TLS.
    fn over_tls(&mut self) {
        let step = "PostgreSQL over TLS";
        match tls::programs() {
            Some(_) => self.step(step, &["--test", "it"], &["--ignored", TLS]),
            None => self.steps.skip(step, tls::MISSING),
        }
    }

    fn end_to_end(&mut self, names: &[&str]) {
        let mut tests = vec!["--test-threads=1"];
        tests.extend(names);
        let missing = phone::missing();
        if missing.is_none() {
            tests.push("--include-ignored");
        }
        let step = "end-to-end tests, one after the other";
        self.step(step, &["--test", "it"], &tests);
        let telephone = "the telephone (livekit-sip and sipp)";
        match missing {
            None => self.steps.ran(telephone),
            Some(missing) => self.steps.skip(telephone, &missing),
        }
    }

    /// Runs `cargo test` with these options, and these of the test harness.
    fn step(&mut self, name: &str, options: &[&str], of_harness: &[&str]) {
        let mut command = cargo(&["test", "--workspace", "--features", FAULTS]);
        match self.timings {
            None => command.args(options),
            // The harness reports times only where it names the tests.
            Some(_) => command
                .args(options.iter().filter(|option| **option != "--quiet"))
                .args(Timings::CARGO),
        };
        command.arg("--").args(of_harness);
        command.envs(self.environment.clone());
        match self.timings {
            None => self.steps.command(name, &mut command),
            Some(timings) => {
                command.args(Timings::HARNESS);
                self.steps.run(name, || timings.run(name, &mut command));
            }
        }
    }
}
