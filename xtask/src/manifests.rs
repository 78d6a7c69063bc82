//! Checks of what `deploy/` has for operators: the Helm chart, the systemd units and the alerts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cache,
    process::{finish, has},
    steps::Steps,
};

/// The oldest version of Kubernetes that the chart supports.
const KUBERNETES: &str = "1.30.0";
/// Sets of values: the least that is needed, and everything.
const VALUES: [&str; 2] = ["minimal", "full"];
/// The services.
const UNITS: [&str; 3] = [
    "patchbay-api.service",
    "patchbay-worker.service",
    "patchbay-index.service",
];
/// What only the Prometheus operator knows.
const MONITORING: [&str; 2] = ["kind: ServiceMonitor", "kind: PrometheusRule"];
/// The most that `systemd-analyze security` may find in one, in tenths: 0 is safe, 100 is not.
const MOST_EXPOSED: &str = "20";
/// The alerts by themselves, as Prometheus loads them with the configuration of Compose, and their tests.
const ALERTS: [&str; 3] = [
    "check rules --lint-fatal observability/alerts.yaml",
    "check config --lint-fatal compose/prometheus.yaml",
    "test rules observability/alerts_test.yaml",
];

/// Runs all steps.
pub fn check(steps: &mut Steps) {
    steps.run_unless(
        || missing("helm", "go install helm.sh/helm/v3/cmd/helm@latest"),
        "Helm chart (helm lint, helm template)",
        lint_chart,
    );
    steps.run_unless(
        no_validator,
        "Helm chart (kubernetes-validate)",
        validate_chart,
    );
    steps.run_unless(
        || missing("systemd-analyze", "Debian's package systemd"),
        "systemd units (systemd-analyze security)",
        check_units,
    );
    let promtool =
        "go install -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool@latest";
    steps.run_unless(
        || missing("promtool", promtool),
        "alerts (promtool check rules, promtool test rules)",
        check_alerts,
    );
}

fn missing(program: &str, how: &str) -> Option<String> {
    (!has(program)).then(|| format!("{program} is not on PATH ({how})"))
}

fn no_validator() -> Option<String> {
    let install = "go install helm.sh/helm/v3/cmd/helm@latest";
    let validator = "kubernetes-validate";
    missing("helm", install).or_else(|| missing(validator, "pip install kubernetes-validate"))
}

fn deploy() -> PathBuf {
    cache::repository().join("deploy")
}

/// `helm <action>` for the chart with one set of values.
fn helm(action: &[&str], values: &str) -> Command {
    let mut helm = Command::new("helm");
    helm.args(action).args(["--kube-version", KUBERNETES]);
    helm.args(["--values", &format!("ci/{values}-values.yaml")]);
    helm.current_dir(deploy().join("helm/patchbay"));
    helm
}

fn lint_chart() -> Result<()> {
    for values in VALUES {
        let mut lint = helm(&["lint", "--strict", "."], values);
        ensure!(
            finish("helm lint", &mut lint)?,
            "the chart with {values} values"
        );
        render(values)?;
    }
    Ok(())
}

fn validate_chart() -> Result<()> {
    let folder = cache::scratch("chart")?;
    fs::create_dir_all(&folder)?;
    for values in VALUES {
        let rendered = folder.join(format!("{values}.yaml"));
        fs::write(&rendered, render(values)?)?;
        validate(&rendered)?;
    }
    Ok(fs::remove_dir_all(&folder)?)
}

/// The objects of the chart, without those that Kubernetes itself does not know.
fn render(values: &str) -> Result<String> {
    let output = helm(&["template", "patchbay", "."], values)
        .output()
        .context("helm template")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm template: {errors}");
    let all = String::from_utf8(output.stdout)?;
    let known = all
        .split("\n---\n")
        .filter(|object| !MONITORING.iter().any(|kind| object.contains(kind)));
    Ok(known.collect::<Vec<_>>().join("\n---\n"))
}

fn validate(rendered: &Path) -> Result<()> {
    let mut validate = Command::new("kubernetes-validate");
    validate.args(["--strict", "-k", KUBERNETES]).arg(rendered);
    let file = rendered.display();
    ensure!(finish("kubernetes-validate", &mut validate)?, "{file}");
    Ok(())
}

fn check_units() -> Result<()> {
    for unit in UNITS {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=true", "--threshold", MOST_EXPOSED]);
        analyze.arg(deploy().join("systemd").join(unit));
        let output = analyze.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.lines().rfind(|line| line.contains("exposure level"));
        println!("· {unit}: {}", found.unwrap_or_default().trim());
        ensure!(output.status.success(), "{unit} is too exposed: {text}");
    }
    Ok(())
}

fn check_alerts() -> Result<()> {
    for check in ALERTS {
        let mut promtool = Command::new("promtool");
        promtool.args(check.split(' ')).current_dir(deploy());
        ensure!(finish("promtool", &mut promtool)?, "promtool {check}");
    }
    Ok(())
}
