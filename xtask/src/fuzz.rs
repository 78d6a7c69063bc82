//! `cargo xtask fuzz`: libFuzzer, one target after the other.
//!
//! The compiler's coverage pass is part of the stable toolchain, so only a C++ compiler is needed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cache,
    process::{cargo, catch_signals, finish, has, host, interrupted, run},
};

/// Compiler flags that instrument edges and comparisons for libFuzzer.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// Maximum seconds, megabytes and bytes of one input.
const BOUNDS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"];

/// The result of a run.
struct Outcome {
    line: String,
    /// The failing input, and the failure.
    found: Option<(PathBuf, String)>,
}

/// The command.
pub fn all(filter: Option<&str>, seconds: u64, planted: bool) -> Result<()> {
    catch_signals()?;
    if let Some(missing) = missing() {
        bail!("{missing}");
    }
    run_targets(filter.unwrap_or_default(), seconds, planted)
}

/// The C++ compiler, if it is not installed.
pub fn missing() -> Option<String> {
    let compiler = std::env::var_os("CXX").is_some() || has("c++");
    let how = "libFuzzer is built from C++: install a compiler (Debian's package g++)";
    (!compiler).then(|| how.to_owned())
}

/// Builds the targets whose names contain this, and runs one after the other.
pub fn run_targets(filter: &str, seconds: u64, planted: bool) -> Result<()> {
    let targets = targets(filter)?;
    // It is passed explicitly, so that build scripts are not instrumented.
    let host = host()?;
    build(&targets, &host, planted)?;
    if seconds == 0 {
        return Ok(());
    }
    let mut failed = Vec::new();
    for target in &targets {
        println!("▸ {target}, for {seconds} s");
        let outcome = search(target, &host, seconds, planted)?;
        println!("  {}", outcome.line);
        match (outcome.found, planted) {
            (None, false) => {}
            (None, true) => failed.push(format!("{target}: the planted fault was not found")),
            (Some((_, how)), true) => println!("  the planted fault was found: {how}"),
            (Some((input, how)), false) => failed.push(keep(target, &input, &how)?),
        }
    }
    ensure!(failed.is_empty(), "\n{}", failed.join("\n"));
    Ok(())
}

/// The targets whose names contain this.
fn targets(filter: &str) -> Result<Vec<String>> {
    let folder = cache::repository().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        targets.extend(name.filter(|name| name.contains(filter)).map(str::to_owned));
    }
    targets.sort();
    ensure!(!targets.is_empty(), "no target's name contains `{filter}`");
    Ok(targets)
}

fn folder() -> PathBuf {
    cache::repository().join("target/fuzz")
}

fn build(targets: &[String], host: &str, planted: bool) -> Result<()> {
    let features = format!("libfuzzer,{}", targets.join(","));
    let mut command = cargo(&["build", "--package", "patchbay-fuzz", "--profile", "fuzz"]);
    command
        .args(["--no-default-features", "--features", &features])
        .args(["--target", host, "--target-dir"])
        .arg(folder())
        .env("RUSTFLAGS", COVERAGE.join(" "));
    if planted {
        let compiler = cache::repository().join("fuzz/planted-rustc");
        command.env("RUSTC_WORKSPACE_WRAPPER", compiler);
    }
    for target in targets {
        command.args(["--bin", target]);
    }
    run("building the targets with coverage", &mut command)
}

/// Runs one target, with the corpus of the repository and that of earlier runs.
fn search(target: &str, host: &str, seconds: u64, planted: bool) -> Result<Outcome> {
    let repository = cache::repository();
    let kept = match planted {
        true => folder().join("planted").join(target),
        false => folder().join("corpus").join(target),
    };
    if planted {
        // A planted fault has to be found from the committed corpus.
        let _ = fs::remove_dir_all(&kept);
    }
    fs::create_dir_all(&kept)?;
    let found = folder().join("found");
    fs::create_dir_all(&found)?;
    let log = folder().join(format!("{target}.log"));
    let mut command = Command::new(folder().join(host).join("fuzz").join(target));
    command
        .arg(&kept)
        .arg(repository.join("fuzz/corpus").join(target))
        .args(BOUNDS)
        .args([
            "-print_final_stats=1",
            &format!("-max_total_time={seconds}"),
        ])
        .arg(format!("-artifact_prefix={}/{target}-", found.display()));
    let dictionary = repository.join(format!("fuzz/dictionaries/{target}.txt"));
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let out = File::create(&log)?;
    command.stdout(out.try_clone()?).stderr(out);
    let ended_well = finish(target, &mut command)?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let outcome = read(&text);
    if interrupted() || !ended_well && outcome.found.is_none() {
        bail!("{target} ended early; see {}", log.display());
    }
    Ok(outcome)
}

/// Parses libFuzzer's log.
fn read(log: &str) -> Outcome {
    let after = |line: &str, name: &str| -> Option<String> {
        let rest = line.split_once(name)?.1.trim_start();
        Some(rest.split([' ', ')', '/']).next()?.to_owned())
    };
    let last = |name: &str| log.lines().rev().find_map(|line| after(line, name));
    let number = |name: &str| last(name).unwrap_or_else(|| "0".to_owned());
    let edges = log
        .lines()
        .find_map(|line| after(line, "Loaded 1 modules   ("));
    let line = format!(
        "{} executions ({} a second), {} of {} edges covered, {} inputs in the corpus",
        number("stat::number_of_executed_units:"),
        number("stat::average_exec_per_sec:"),
        number("cov:"),
        edges.unwrap_or_default(),
        number("corp:"),
    );
    let input = log
        .lines()
        .find_map(|line| line.split_once("Test unit written to "));
    let mut lines = log.lines();
    let panic = lines
        .find(|line| line.contains("panicked at"))
        .zip(lines.next());
    let how = match panic {
        Some((place, message)) => format!("{} {message}", place.trim()),
        None => {
            let error = log.lines().find(|line| line.contains("ERROR: libFuzzer"));
            error.unwrap_or("it ended").to_owned()
        }
    };
    let found = input.map(|(_, path)| (PathBuf::from(path.trim()), how));
    Outcome { line, found }
}

/// Adds a failing input to the corpus of the ordinary tests.
fn keep(target: &str, input: &Path, how: &str) -> Result<String> {
    let name = input.file_name().and_then(|name| name.to_str());
    let name = name.context("an input without a name")?;
    let name = name.strip_prefix(&format!("{target}-")).unwrap_or(name);
    let file = format!("fuzz/corpus/{target}/{name}");
    fs::copy(input, cache::repository().join(&file))?;
    Ok(format!(
        "{target}: {how}\n  `{file}` fails in `cargo test -p patchbay-fuzz {target}` until it is mended"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_libfuzzer_is_read() {
        let log = "INFO: Loaded 1 modules   (7014 inline 8-bit counters): 7014 [0x1, 0x2), \n\
            #2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb\n\
            #90\tDONE   cov: 123 ft: 456 corp: 78/9Kb lim: 4096 exec/s: 45 rss: 31Mb\n\
            stat::number_of_executed_units: 90\nstat::average_exec_per_sec:     45\n";
        let outcome = read(log);
        let line =
            "90 executions (45 a second), 123 of 7014 edges covered, 78 inputs in the corpus";
        assert_eq!(outcome.line, line);
        assert!(outcome.found.is_none());
        let log = format!(
            "{log}thread '<unnamed>' panicked at a.rs:1:2:\nit is wrong\n\
            artifact_prefix='x'; Test unit written to /x/hours-crash-1\n"
        );
        let (input, how) = read(&log).found.unwrap();
        assert_eq!(input, Path::new("/x/hours-crash-1"));
        assert!(how.ends_with("a.rs:1:2: it is wrong"), "{how}");
    }
}
