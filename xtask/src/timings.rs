//! How long tests take, as the test harness reports it.

use std::{
    io::{BufRead as _, BufReader, pipe},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Result, ensure};

use crate::process::finish;

/// Tests of the table.
const SLOWEST: usize = 10;

/// Seconds of tests, by name.
#[derive(Default)]
pub struct Timings(Vec<(f64, String)>);

impl Timings {
    /// Options of Cargo with which the harness does what it only does with a nightly toolchain. In the environment of
    /// Cargo itself the variable would rebuild everything.
    pub const CARGO: [&str; 2] = [
        "--config",
        "target.\"cfg(all())\".runner=[\"env\", \"RUSTC_BOOTSTRAP=1\"]",
    ];
    /// Options of the harness that report times.
    pub const HARNESS: [&str; 2] = ["-Zunstable-options", "--report-time"];

    /// Runs tests with their output shown, and keeps their times.
    pub fn run(&mut self, what: &str, command: &mut Command) -> Result<()> {
        let (reader, writer) = pipe()?;
        command.stdout(writer);
        let echo = thread::spawn(move || {
            let lines = BufReader::new(reader).split(b'\n').map_while(Result::ok);
            let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
            let shown = lines.inspect(|line| println!("{line}"));
            shown.filter_map(|line| timing(&line)).collect::<Vec<_>>()
        });
        let succeeded = finish(what, command);
        // The last writer: the thread ends.
        command.stdout(Stdio::null());
        self.0.extend(echo.join().unwrap_or_default());
        ensure!(succeeded?, "it failed");
        Ok(())
    }

    /// Prints the slowest tests.
    pub fn print(mut self) {
        self.0.sort_by(|one, other| other.0.total_cmp(&one.0));
        println!("▸ the slowest of {} tests", self.0.len());
        for (seconds, name) in self.0.iter().take(SLOWEST) {
            println!("  {seconds:>7.1} s  {name}");
        }
    }
}

/// The test and its seconds of a line such as `test a::b ... ok <1.234s>`.
fn timing(line: &str) -> Option<(f64, String)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let (_, time) = outcome.split_once('<')?;
    let seconds = time.strip_suffix("s>")?.parse().ok()?;
    Some((seconds, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_lines_that_have_one() {
        let slow = timing("test files::a_file ... ok <12.345s>");
        assert_eq!(slow, Some((12.345, "files::a_file".to_owned())));
        assert_eq!(timing("test files::a_file ... ignored"), None);
        assert_eq!(timing("test result: ok. 3 passed; 0 failed"), None);
        let mut timings = Timings::default();
        let mut echo = Command::new("echo");
        echo.arg("test one ... ok <0.500s>");
        timings.run("echo", &mut echo).unwrap();
        assert_eq!(timings.0, [(0.5, "one".to_owned())]);
        timings
            .run("false", &mut Command::new("false"))
            .unwrap_err();
    }
}
