//! The steps of a command: all of them run, even after a failure, and are summarised at the end.

use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::process::{finish, interrupted};

/// The results so far.
#[derive(Default)]
pub struct Steps {
    only: String,
    /// Whether any step has matched the filter.
    is_known: bool,
    lines: Vec<String>,
    failed: Vec<String>,
}

impl Steps {
    /// Runs only steps whose names contain this.
    pub fn only(name: &str) -> Self {
        Self {
            only: name.to_owned(),
            ..Self::default()
        }
    }

    /// Runs a step; returns its value if it succeeds.
    pub fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        if !self.is_due(name) {
            return None;
        }
        println!("▸ {name}");
        match step() {
            Ok(made) => {
                self.ran(name);
                Some(made)
            }
            Err(error) => {
                eprintln!("✗ {name}: {error:#}");
                self.lines.push(format!("RAN      {name}: FAILED"));
                self.failed.push(name.to_owned());
                None
            }
        }
    }

    /// Runs a step unless something is missing, which is no failure: what, and how to install it.
    pub fn run_unless(
        &mut self,
        missing: impl FnOnce() -> Option<String>,
        name: &str,
        step: impl FnOnce() -> Result<()>,
    ) {
        if !self.is_due(name) {
            return;
        }
        match missing() {
            Some(missing) => self.skip(name, &missing),
            None => {
                self.run(name, step);
            }
        }
    }

    /// Whether a step is to be run; records the reason otherwise.
    fn is_due(&mut self, name: &str) -> bool {
        let is_asked_for = name.contains(&self.only);
        self.is_known |= is_asked_for;
        let why = match (interrupted(), is_asked_for) {
            (false, true) => return true,
            (false, false) => format!("only `{}` is asked for (leave it out for all)", self.only),
            (true, _) => "interrupted".to_owned(),
        };
        self.lines.push(format!("NOT RUN  {name}: {why}"));
        false
    }

    /// Runs a program with its output shown.
    pub fn command(&mut self, name: &str, command: &mut Command) {
        self.run(name, || {
            ensure!(finish(name, command)?, "it failed");
            Ok(())
        });
    }

    /// Records a step that is not run, and why.
    pub fn skip(&mut self, name: &str, why: &str) {
        println!("· {name}: NOT RUN, {why}");
        self.lines.push(format!("NOT RUN  {name}: {why}"));
    }

    /// Records a step that another step has run.
    pub fn ran(&mut self, name: &str) {
        self.lines.push(format!("RAN      {name}"));
    }

    /// Number of failed steps.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// Prints one line for each step; fails if any of them failed.
    pub fn finish(self) -> Result<()> {
        println!("▸ summary");
        for line in &self.lines {
            println!("  {line}");
        }
        if interrupted() {
            bail!("interrupted");
        }
        ensure!(self.is_known, "no step's name contains `{}`", self.only);
        ensure!(self.failed.is_empty(), "failed: {}", self.failed.join(", "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_left_out() {
        let mut steps = Steps::only("cir");
        assert_eq!(steps.run("words", || Ok(1)), None);
        assert_eq!(steps.run("circles", || Ok(1)), Some(1));
        assert!(steps.lines[0].starts_with("NOT RUN  words: "));
        steps.finish().unwrap();
        let mut steps = Steps::only("circus");
        assert_eq!(steps.run("circles", || Ok(1)), None);
        steps.finish().unwrap_err();
    }

    #[test]
    fn what_follows_a_failure_runs_too_and_what_is_missing_is_none() {
        let mut steps = Steps::default();
        assert_eq!(steps.run("first", || Ok(1)), Some(1));
        let missing = || Some("get it there".to_owned());
        steps.run_unless(missing, "second", || bail!("it is run"));
        assert_eq!(steps.failures(), 0);
        steps.run::<()>("third", || bail!("no"));
        steps.command("fourth", &mut Command::new("true"));
        steps.command("fifth", &mut Command::new("false"));
        let lines = [
            "RAN      first",
            "NOT RUN  second: get it there",
            "RAN      third: FAILED",
            "RAN      fourth",
            "RAN      fifth: FAILED",
        ];
        assert_eq!(steps.lines, lines);
        let error = steps.finish().unwrap_err().to_string();
        assert_eq!(error, "failed: third, fifth");
    }
}
