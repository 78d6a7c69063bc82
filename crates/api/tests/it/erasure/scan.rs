//! Searches everything for personal data: all tables of the catalogue, the log, the object store, and the fields
//! that the code logs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::Value;

use super::world::{CALLEE, CALLER, WORD};

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    text: String,
}

async fn query_texts(connection: &mut AsyncPgConnection, query: &str) -> Vec<String> {
    // In a transaction, distributed tables are read where the tenant is set.
    connection.batch_execute("BEGIN").await.unwrap();
    let rows: Vec<TextRow> = diesel::sql_query(query).load(connection).await.unwrap();
    connection.batch_execute("COMMIT").await.unwrap();
    rows.into_iter().map(|row| row.text).collect()
}

/// Columns of the schema, as `table.column`, that can contain text: all but numbers, times, ids and booleans.
pub async fn columns(connection: &mut AsyncPgConnection) -> BTreeSet<String> {
    let wordless =
        "'uuid', 'bool', 'int2', 'int4', 'int8', 'float4', 'float8', 'timestamptz', 'timestamp'";
    let query = every_column(&format!("AND t.typname NOT IN ({wordless})"));
    query_texts(connection, &query).await.into_iter().collect()
}

fn every_column(but: &str) -> String {
    format!(
        "SELECT c.relname || '.' || a.attname AS text
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'm')
           AND a.attnum > 0 AND NOT a.attisdropped {but} ORDER BY 1"
    )
}

/// The columns, of any type, in which the person is found, in the tenant's rows and in those without a tenant.
pub async fn found_in_tables(connection: &mut AsyncPgConnection, tenant: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let columns = query_texts(connection, &every_column("")).await;
    for tenant in [tenant, "00000000-0000-0000-0000-000000000000"] {
        enter(connection, tenant).await;
        for column in &columns {
            let (table, name) = column.split_once('.').unwrap();
            let query = format!(
                "SELECT \"{name}\"::text AS text FROM {table} WHERE \"{name}\" IS NOT NULL"
            );
            if query_texts(connection, &query)
                .await
                .iter()
                .any(|text| is_personal(text))
            {
                found.insert(column.clone());
            }
        }
    }
    found
}

/// How many rows a tenant's table has.
pub async fn count(connection: &mut AsyncPgConnection, tenant: &str, table: &str) -> usize {
    enter(connection, tenant).await;
    let query = format!("SELECT '' AS text FROM {table}");
    query_texts(connection, &query).await.len()
}

/// Makes the rows of this tenant visible.
pub async fn enter(connection: &mut AsyncPgConnection, tenant: &str) {
    let enter = format!("SELECT set_config('app.tenant_id', '{tenant}', false)");
    connection.batch_execute(&enter).await.unwrap();
}

/// The fields in the audit trail, as `kind.field`.
pub async fn audited(connection: &mut AsyncPgConnection, tenant: &str) -> BTreeSet<String> {
    enter(connection, tenant).await;
    let query = "SELECT DISTINCT resource_kind || '.' || field AS text FROM audit_events,
                 LATERAL (SELECT jsonb_object_keys(coalesce(before, '{}') || coalesce(after, '{}')) AS field) AS fields";
    query_texts(connection, query).await.into_iter().collect()
}

/// Whether a text contains the person's data: as plain text, in hexadecimal, or in base64.
pub fn is_personal(text: &str) -> bool {
    let lower = text.to_lowercase();
    let hex: String = WORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Numbers occur with and without their country code.
    let numbers = [CALLER, CALLEE].map(|number| number.trim_start_matches("+49"));
    lower.contains(WORD)
        || lower.contains(&hex)
        || numbers.iter().any(|number| text.contains(number))
        || (0..3).any(|shift| text.contains(&in_base64(shift)))
}

/// The middle of the word's base64 at this offset of three bytes.
fn in_base64(shift: usize) -> String {
    let shifted = format!("{}{WORD}", "_".repeat(shift));
    let encoded = BASE64_STANDARD.encode(&shifted);
    let whole = shifted.len() / 3 * 4;
    encoded[(shift * 4).div_ceil(3)..whole].to_owned()
}

/// The lines of a log that contain the person's data.
pub fn found_in_log(log: &Path) -> Vec<String> {
    let log = fs::read_to_string(log).unwrap();
    log.lines()
        .filter(|line| is_personal(line))
        .map(str::to_owned)
        .collect()
}

/// The fields of the log's lines and of their spans.
pub fn fields_of_log(log: &Path) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        fields.extend(line.as_object().unwrap().keys().cloned());
        if let Some(span) = line["span"].as_object() {
            fields.extend(span.keys().cloned());
        }
    }
    fields
}

/// The files of a folder that contain the person's data.
pub fn found_in_folder(folder: &Path) -> Vec<PathBuf> {
    let all = files_under(folder).into_iter();
    let is_personal =
        |file: &PathBuf| is_personal(&String::from_utf8_lossy(&fs::read(file).unwrap()));
    all.filter(is_personal).collect()
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap().path());
    let inner = |path: PathBuf| match path.is_dir() {
        true => files_under(&path),
        false => vec![path],
    };
    entries.flat_map(inner).collect()
}

/// The fields that the code logs, or puts into spans, whether a test reaches it or not.
pub fn fields_of_code() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut fields = BTreeSet::new();
    for folder in fs::read_dir(crates).unwrap() {
        for file in files_under(&folder.unwrap().path().join("src")) {
            if file.extension().is_some_and(|end| end == "rs") {
                let code = fs::read_to_string(&file).unwrap();
                fields.extend(
                    fields_in(&code).unwrap_or_else(|why| panic!("{}: {why}", file.display())),
                );
            }
        }
    }
    fields
}

/// Macros that log, or create a span.
const MACROS: [&str; 12] = [
    "trace!(",
    "debug!(",
    "info!(",
    "warn!(",
    "error!(",
    "event!(",
    "span!(",
    "trace_span!(",
    "debug_span!(",
    "info_span!(",
    "warn_span!(",
    "error_span!(",
];

/// The fields in one file.
pub fn fields_in(code: &str) -> Result<BTreeSet<String>, String> {
    let mut fields = BTreeSet::new();
    for (start, _) in code.match_indices("tracing::") {
        let rest = &code[start + "tracing::".len()..];
        if let Some(name) = MACROS.iter().find(|name| rest.starts_with(**name)) {
            for part in parts(&rest[name.len()..]) {
                fields.extend(field(part)?);
            }
        }
    }
    for (start, found) in code.match_indices("instrument(") {
        let arguments = parts(&code[start + found.len()..]);
        if !code[..start].trim_end_matches("tracing::").ends_with("#[") {
            continue;
        }
        // Otherwise every argument is a field.
        if !arguments.contains(&"skip_all") {
            return Err(format!("an instrument without skip_all: {arguments:?}"));
        }
        for argument in arguments {
            match argument.strip_prefix("fields(") {
                Some(inner) => {
                    for part in parts(inner) {
                        fields.extend(field(part)?);
                    }
                }
                None if argument.starts_with("err") => drop(fields.insert("error".to_owned())),
                None if argument == "skip_all" => {}
                None => return Err(format!("an instrument with `{argument}`")),
            }
        }
    }
    Ok(fields)
}

/// The name of a field in one argument of a macro; none for a message, which must not contain values.
fn field(part: &str) -> Result<Option<String>, String> {
    if let Some(message) = part.strip_prefix('"') {
        return match message.contains('{') {
            true => Err(format!("values in a message: {part}")),
            false => Ok(None),
        };
    }
    if part.is_empty() || part.starts_with("parent:") {
        return Ok(None);
    }
    let name = part.split('=').next().unwrap_or_default().trim();
    let name = name.trim_start_matches(['%', '?']);
    match name
        .chars()
        .all(|c| c.is_ascii_lowercase() || "_.".contains(c))
    {
        true => Ok(Some(name.to_owned())),
        false => Err(format!("no field: {part}")),
    }
}

/// The comma-separated parts up to the closing parenthesis.
fn parts(code: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start, mut quoted) = (Vec::new(), 0, 0, false);
    let mut before = ' ';
    for (at, c) in code.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => {
                parts.push(code[start..at].trim());
                return parts;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(code[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts
}
