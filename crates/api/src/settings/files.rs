//! Secret settings in files: what `NAME_FILE` names stands for `NAME`, as the credentials of systemd and the secrets of
//! containers are files.

use std::{collections::BTreeSet, env, fs::File, io::Read as _};

use clap::Command;

/// Maximum size of a file in bytes.
const LIMIT: u64 = 64 * 1024;

/// Reads the secret settings of all commands that are in files; returns their names and values. The error is one line that
/// names the setting.
pub fn read(command: &Command) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    for name in secret_settings(command) {
        let variable = format!("{name}_FILE");
        let Some(path) = env::var_os(&variable) else {
            continue;
        };
        if env::var_os(&name).is_some() {
            return Err(format!(
                "{name} and {variable}: only one of them can be set"
            ));
        }
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text));
        let read = read.map_err(|error| format!("{variable}: {error}"))?;
        if read as u64 > LIMIT {
            return Err(format!("{variable}: the file has more than {LIMIT} bytes"));
        }
        if text.contains('\0') {
            return Err(format!("{variable}: the file is no text"));
        }
        // Editors and `echo` end a file with one.
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        found.push((name, text));
    }
    Ok(found)
}

/// The environment variables whose values no help text shows.
fn secret_settings(command: &Command) -> BTreeSet<String> {
    let of = |command: &Command| -> Vec<String> {
        let secret = command.get_arguments();
        let secret = secret.filter(|setting| setting.is_hide_env_values_set());
        let names = secret.filter_map(|setting| setting.get_env());
        names.map(|name| name.to_string_lossy().into()).collect()
    };
    command.get_subcommands().flat_map(of).collect()
}
