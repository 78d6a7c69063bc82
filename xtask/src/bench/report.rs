//! The figures of a run: printed, written as JSON, and compared to those of an earlier run.

use std::{cell::RefCell, collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// What is measured, in the order of the table, with the unit.
const METRICS: [(&str, &str); 8] = [
    ("rate", "req/s"),
    ("api", "api µs"),
    ("postgres", "PostgreSQL µs"),
    ("load", "load µs"),
    ("p50", "p50 ms"),
    ("p99", "p99 ms"),
    ("of_plain", "% of pgbench"),
    ("of_pipelined", "% of pipelined"),
];

/// The values of a metric, one for each round.
type Values = Vec<f64>;

/// The figures, by what was measured.
#[derive(Default)]
pub struct Report(RefCell<BTreeMap<String, BTreeMap<&'static str, Values>>>);

/// The median of several rounds, with the lowest and the highest value.
#[derive(Clone, Copy)]
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        Self {
            median: at(sorted.len() / 2),
            low: at(0),
            high: at(sorted.len().saturating_sub(1)),
        }
    }

    fn text(self) -> String {
        let Self { median, low, high } = self;
        let digits = digits(high);
        match low == high {
            true => format!("{median:.digits$}"),
            false => format!("{median:.digits$} ({low:.digits$}–{high:.digits$})"),
        }
    }
}

/// Decimals that tell something.
fn digits(value: f64) -> usize {
    match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    }
}

impl Report {
    /// Adds the value of one round.
    pub fn add(&self, row: &str, metric: &'static str, value: f64) {
        let mut rows = self.0.borrow_mut();
        let metrics = rows.entry(row.to_owned()).or_default();
        metrics.entry(metric).or_default().push(value);
    }

    /// Prints the rows whose names begin with this.
    pub fn print(&self, prefix: &str) {
        for (row, metrics) in self.0.borrow().iter() {
            if !row.starts_with(prefix) {
                continue;
            }
            let figures: Vec<_> = METRICS
                .iter()
                .filter_map(|(name, unit)| {
                    let values = metrics.get(name)?;
                    Some(format!("{unit} {}", Spread::of(values).text()))
                })
                .collect();
            println!("  {row}: {}", figures.join(" · "));
        }
    }

    /// Writes all figures to a file.
    pub fn write(&self, file: &Path) -> Result<()> {
        let rows = self.0.borrow();
        let rows: Value = rows
            .iter()
            .map(|(row, metrics)| {
                let metrics: Value = metrics
                    .iter()
                    .map(|(name, values)| {
                        let Spread { median, low, high } = Spread::of(values);
                        let figures = json!({ "median": median, "low": low, "high": high });
                        ((*name).to_owned(), figures)
                    })
                    .collect();
                (row.clone(), metrics)
            })
            .collect();
        let text = serde_json::to_string_pretty(&rows)?;
        fs::write(file, text).with_context(|| file.display().to_string())
    }

    /// Prints the figures beside those of an earlier run, which `write` has written.
    pub fn compare(&self, earlier: &Path) -> Result<()> {
        let text = fs::read_to_string(earlier).with_context(|| earlier.display().to_string())?;
        let earlier: Value = serde_json::from_str(&text)?;
        println!("\ncompared to the earlier run, medians:");
        for (row, metrics) in self.0.borrow().iter() {
            for (name, unit) in METRICS {
                let before = earlier[row][name]["median"].as_f64();
                let (Some(values), Some(before)) = (metrics.get(name), before) else {
                    continue;
                };
                let now = Spread::of(values);
                let ratio = now.median / before;
                let digits = digits(before);
                println!(
                    "  {row}: {unit} {before:.digits$} → {}: {ratio:.2}",
                    now.text()
                );
            }
        }
        Ok(())
    }
}
