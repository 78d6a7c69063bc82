//! Settings, and what the documentation says of them.

use clap::Args as _;

use patchbay_api::settings::Settings;

/// Rows of README's table of settings: each variable with its default.
fn documented() -> Vec<(String, String)> {
    let readme = include_str!("../../../../README.md");
    let (_, settings) = readme.split_once("\n## Settings\n").unwrap();
    let (settings, _) = settings.split_once("\n## ").unwrap();
    let mut found = Vec::new();
    for row in settings.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for name in cells[1].split('`').filter(|part| part.contains('_')) {
            found.push((name.to_owned(), cells[2].replace('`', "")));
        }
    }
    found
}

#[test]
fn the_settings_of_the_readme_exist_with_their_defaults() {
    let command = Settings::augment_args(clap::Command::new("serve"));
    let rows = documented();
    assert!(rows.len() > 12, "{rows:?}");
    for (name, default) in rows {
        if name == "DATABASE_OWNER_URL" {
            continue; // of `migrate` and `index`
        }
        let is_it = |arg: &&clap::Arg| arg.get_env().is_some_and(|env| *env == *name);
        let arg = command.get_arguments().find(is_it);
        let arg = arg.unwrap_or_else(|| panic!("{name} is no setting"));
        let stated = match default.as_str() {
            "required" => {
                assert!(arg.is_required_set(), "{name} is not required");
                continue;
            }
            "none" => None,
            other if other.starts_with("LIVEKIT_") => None,
            other => Some(other.to_owned()),
        };
        let actual = arg.get_default_values().first();
        let actual = actual.map(|value| value.to_string_lossy().into_owned());
        assert_eq!(actual, stated, "the default of {name}");
    }
}
