//! The same statements by `pgbench`: what PostgreSQL can do at most.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::subject::Bench;

/// Transactions per second of `pgbench` with a transaction of this tenant, which the statement that finds the key
/// precedes; as one pipeline or statement by statement.
pub fn rate(
    bench: &Bench<'_>,
    statements: &str,
    (connections, duration): (usize, Duration),
    pipelined: bool,
) -> Result<f64> {
    let transaction = format!(
        "{}BEGIN;\nSET LOCAL app.tenant_id = '{}';\n{statements}COMMIT;\n",
        credential(&bench.seeded.key),
        bench.seeded.tenant
    );
    let script = match pipelined {
        true => format!("\\startpipeline\n{transaction}\\endpipeline\n"),
        false => transaction,
    };
    let file = bench.folder.join("pgbench.sql");
    fs::write(&file, script)?;
    let output = Command::new(bench.tools.postgres.join("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={connections}"))
        .arg(format!("--time={}", duration.as_secs()))
        .arg("--file")
        .arg(&file)
        .arg(&bench.running.stack.database_url)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.with_context(|| format!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The statement that finds a key with its ancestors, as of the service.
fn credential(key: &str) -> String {
    let id = &key[3..35];
    format!(
        "WITH RECURSIVE line AS (
            SELECT k.tenant_id, k.parent_key_id, k.expires_at, k.revoked_at, 1 AS generation
            FROM api_keys k WHERE k.id = '{id}'
        UNION ALL
            SELECT k.tenant_id, k.parent_key_id, k.expires_at, k.revoked_at, line.generation + 1
            FROM line JOIN api_keys k ON k.tenant_id = line.tenant_id AND k.id = line.parent_key_id
            WHERE line.generation < 8)
        SELECT k.tenant_id, k.secret_hash, k.scopes,
               (SELECT bool_or(line.parent_key_id IS NULL) AND bool_and(line.revoked_at IS NULL
                AND (line.expires_at IS NULL OR line.expires_at > now())) FROM line), t.status, t.limits
        FROM api_keys k JOIN tenants t ON t.id = k.tenant_id WHERE k.id = '{id}';\n"
    )
    .replace('\n', " ")
        + "\n"
}
