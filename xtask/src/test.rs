//! `cargo xtask test`: everything, on servers of its own.

use std::{fs, process::Command};

use anyhow::Result;

use crate::{
    cache, check, clients,
    process::{cargo, catch_signals, has, run},
    stack::{Ports, Stack},
    tools::{self, Tools},
};

/// Tests that measure how long an answer takes while the service is busy: nothing else may run beside them.
const ALONE: &str = "busy::";
/// Tests that take all there is of a processor: beside them, others would miss their short deadlines.
const MODEL: [&str; 3] = ["knowledge::", "search::", "embeddings::"];

/// The command.
pub fn all(filter: Option<&str>) -> Result<()> {
    catch_signals()?;
    let tools = tools::ensure(|| {
        run(
            "building everything",
            &mut cargo(&["build", "--workspace", "--all-targets"]),
        )
    })?;
    if filter.is_none() {
        check::all()?;
        clients::check()?;
        let worker = cache::repository().join("deploy/agent-worker");
        run(
            "worker, pure parts",
            Command::new(&tools.python)
                .args(["-B", "-m", "unittest", "--quiet"])
                .current_dir(worker),
        )?;
    }
    let folder = cache::scratch("test")?;
    let outcome = with_stack(&tools, &folder, filter);
    match &outcome {
        Ok(()) => {
            let _ = fs::remove_dir_all(&folder);
        }
        Err(_) => println!("· the servers' logs are in {}", folder.display()),
    }
    outcome
}

fn with_stack(tools: &Tools, folder: &std::path::Path, filter: Option<&str>) -> Result<()> {
    for name in ["DATABASE_URL", "LIVEKIT_URL"] {
        if std::env::var_os(name).is_some() {
            println!("· {name} is set, and the tests use it");
        }
    }
    let stack = Stack::start(
        tools,
        folder,
        &Ports {
            postgres: 0,
            livekit: 0,
            api: 0,
        },
    )?;
    let environment = [
        ("PATCHBAY_TEST_DATABASE_URL", stack.database_url.clone()),
        (
            "PATCHBAY_TEST_DATABASE_OWNER_URL",
            stack.database_owner_url.clone(),
        ),
        ("PATCHBAY_TEST_LIVEKIT_URL", stack.livekit_url.clone()),
        ("PATCHBAY_TEST_LIVEKIT_KEY", stack.livekit_key.clone()),
        ("PATCHBAY_TEST_LIVEKIT_SECRET", stack.livekit_secret.clone()),
        (
            "PATCHBAY_TEST_LIVEKIT_SERVER",
            tools.livekit.display().to_string(),
        ),
        (
            "PATCHBAY_TEST_VALKEY_SERVER",
            tools.valkey.display().to_string(),
        ),
        ("PATCHBAY_TEST_PYTHON", tools.python.display().to_string()),
        ("PATCHBAY_TEST_MODEL", tools.model.display().to_string()),
        ("PATCHBAY_TEST_FOLDER", stack.folder.display().to_string()),
        // As the service sets it for itself.
        ("CANDLE_NUM_THREADS", "1".to_owned()),
    ];
    let name = filter.unwrap_or_default();
    let mut quick = cargo(&[
        "test",
        "--workspace",
        "--quiet",
        "--",
        name,
        "--skip",
        "e2e::",
    ]);
    if filter.is_none() {
        let later = MODEL.iter().chain([&ALONE]);
        quick.args(later.flat_map(|name| ["--skip", name]));
    }
    run(
        "unit and integration tests",
        quick.envs(environment.clone()),
    )?;
    if filter.is_none() {
        let mut model = cargo(&["test", "--workspace", "--quiet", "--"]);
        let model = model.args(MODEL).envs(environment.clone());
        run("tests that keep a model busy", model)?;
    }
    // `e2e::` alone names them all; a filter within them narrows that.
    let name = if name.starts_with("e2e::") || filter.is_none() {
        name
    } else {
        return Ok(());
    };
    let names = match name {
        "" => vec!["e2e::", ALONE],
        name => vec![name],
    };
    let mut end_to_end = cargo(&[
        "test",
        "--workspace",
        "--test",
        "it",
        "--",
        "--test-threads=1",
    ]);
    end_to_end.args(names);
    let telephone = telephone();
    if telephone.is_ok() {
        end_to_end.arg("--include-ignored");
    }
    run(
        "end-to-end tests, one after the other",
        end_to_end.envs(environment),
    )?;
    match telephone {
        Ok(()) => println!("· the telephone (livekit-sip and sipp): RUN"),
        Err(missing) => println!("· the telephone: NOT RUN, {missing}"),
    }
    Ok(())
}

/// What keeps the real telephone from being tested, if anything.
fn telephone() -> Result<(), String> {
    for (program, how) in [
        ("livekit-sip", "build github.com/livekit/sip"),
        ("sipp", "Debian's package sip-tester"),
    ] {
        if !has(program) {
            return Err(format!("{program} is not on PATH ({how})"));
        }
    }
    Ok(())
}
