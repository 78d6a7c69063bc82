//! What the extractor process can reach, tried from inside of it, and what other processes can read of the
//! service.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::support::{
    Fixture, Process, Provider, arguments, environment, eventually, free_port, id, make_schema,
    model,
};

const BINARY: &str = env!("CARGO_BIN_EXE_patchbay-api");
/// Errno of a forbidden operation, and of a forbidden path.
const EPERM: i64 = 1;
const EACCES: i64 = 13;
/// A user without privileges.
const UNPRIVILEGED_USER: u32 = 65534;

/// A running service.
struct Service {
    api: Process,
    settings: Vec<String>,
    base: String,
}

impl Service {
    async fn start(more: &[&str]) -> Self {
        Self::start_with(more, |_| Command::new(BINARY)).await
    }

    async fn start_with(more: &[&str], command: impl FnOnce(&str) -> Command) -> Self {
        let (schema, port) = (make_schema().await, free_port());
        let listen = format!("--listen=127.0.0.1:{port}");
        let more: Vec<_> = [&*listen].into_iter().chain(more.iter().copied()).collect();
        let settings = arguments(&schema, &more)[1..].to_vec();
        let mut command = command(&schema);
        command.arg("serve").args(&settings);
        let mut api = Process::of("confined", command);
        api.wait_for_port(port);
        let base = format!("http://127.0.0.1:{port}");
        Self {
            api,
            settings,
            base,
        }
    }

    async fn tenant(&self) -> Fixture {
        Fixture::make(&self.base, "acme").await
    }
}

/// The output of a probe against this process.
fn probe(process: u32) -> Vec<Value> {
    let process = process.to_string();
    let output = Command::new(BINARY)
        .args(["confinement", "--process", &process])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// The attempts under a layer, with their errors.
fn tries(lines: &[Value], layer: &str) -> Vec<(String, Option<i64>)> {
    let tries = lines.iter().filter_map(|line| line[layer].as_array());
    let pair = |pair: &Vec<Value>| (pair[0].as_str().unwrap().to_owned(), pair[1].as_i64());
    tries.map(pair).collect()
}

const REACHING: [&str; 8] = [
    "read a file",
    "list a folder",
    "write a file",
    "read another process's environment",
    "open another process's memory",
    "listen to TCP",
    "connect by TCP",
    "signal another process",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_process_reaches_no_file_no_network_and_no_other_process() {
    let service = Service::start(&[]).await;
    let lines = probe(service.api.id());
    let beyond = [
        "send by UDP",
        "make a Unix socket",
        "read another process's memory",
        "trace another process",
        "start a thread",
        "start a process",
        "become another program",
    ];
    let expected: Vec<_> = REACHING
        .iter()
        .chain(&beyond)
        .map(|name| ((*name).to_owned(), Some(EPERM)))
        .collect();
    assert_eq!(tries(&lines, "all"), expected);
    let layers = lines.iter().find_map(|line| line.get("layers")).unwrap();
    assert_eq!(
        (&layers["no_new_privs"], &layers["seccomp"]),
        (&json!(true), &json!(true))
    );
    let version = layers["landlock"].as_i64().unwrap_or_default();
    let alone = tries(&lines, "landlock");
    for (names, since) in [
        (&REACHING[..5], 1),
        (&REACHING[5..7], 4),
        (&REACHING[7..], 6),
    ] {
        for name in names.iter().filter(|_| version >= since) {
            let (_, error) = alone.iter().find(|(tried, _)| tried == name).unwrap();
            assert!(
                [Some(EACCES), Some(EPERM)].contains(error),
                "{name}: {error:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_is_said_at_start_and_by_check_config() {
    let service = Service::start(&[]).await;
    let said = "extraction is confined by: no_new_privs, seccomp";
    let log = std::fs::read_to_string(&service.api.log).unwrap();
    assert!(log.contains(said), "{log}");
    let checked = check_config(&service.settings);
    let printed = String::from_utf8_lossy(&checked.stdout);
    assert!(
        checked.status.success() && printed.contains(said),
        "{checked:?}"
    );
    // An extractor that gives no output, and one that claims to be confined and tries nothing.
    let folder = environment("FOLDER");
    for (name, script) in [
        ("silent", "#!/bin/sh\nexit 1\n"),
        (
            "boasting",
            "#!/bin/sh\necho '{\"layers\":{\"no_new_privs\":true,\"landlock\":7,\"seccomp\":true}}'\necho '{\"all\":[\"read a file\",1]}'\n",
        ),
    ] {
        let script = executable(&format!("{folder}/{name}-{}", free_port()), script);
        let mut settings = service.settings.clone();
        settings.retain(|setting| !setting.starts_with("--extractor"));
        settings.push(format!("--extractor={}", script.display()));
        let checked = check_config(&settings);
        let printed = String::from_utf8_lossy(&checked.stdout);
        let expected = match name {
            "silent" => "could not be determined",
            _ => "it can still: list a folder",
        };
        assert!(
            checked.status.success() && printed.contains(expected),
            "{name}: {checked:?}"
        );
    }
}

fn check_config(settings: &[String]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("check-config").args(settings).output().unwrap()
}

fn executable(path: &str, script: &str) -> PathBuf {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.into()
}

/// The extractor processes of this process.
fn readers(process: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap();
    let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let of = |pid: u32, name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
    let reads = |pid: &u32| {
        let status = of(*pid, "status").unwrap_or_default();
        let status = String::from_utf8_lossy(&status).into_owned();
        let line = of(*pid, "cmdline").unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        status.contains(&format!("\nPPid:\t{process}\n")) && words.get(1) == Some(&&b"extract"[..])
    };
    all.filter(reads).collect()
}

/// The confinement of each thread of a process: `NoNewPrivs` and `Seccomp` of its status.
fn confined(process: u32) -> Vec<(bool, bool)> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let statuses = threads.filter_map(|t| std::fs::read_to_string(t.path().join("status")).ok());
    let has = |status: String| {
        (
            status.contains("\nNoNewPrivs:\t1\n"),
            status.contains("\nSeccomp:\t2\n"),
        )
    };
    statuses.map(has).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_by_a_confined_process_that_inherits_nothing() {
    let folder = format!("{}/inherited-{}", environment("FOLDER"), free_port());
    std::fs::create_dir_all(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\n/bin/cat /proc/$$/environ > {folder}/environment\n/bin/ls -l /proc/$$/fd > {folder}/descriptors\n\
         exec {BINARY} \"$@\"\n"
    );
    let script = executable(&format!("{folder}/reader"), &script);
    let extractor = format!("--extractor={}", script.display());
    let provider = Provider::start(model());
    let url = format!("--embedding-url={}", provider.url);
    let service = Service::start_with(&[&extractor, &url], |_| {
        let mut command = Command::new(BINARY);
        command.env("PATCHBAY_TEST_MARK", "a-secret-of-the-service");
        command
    })
    .await;
    let fixture = service.tenant().await;
    let text = "The road goes on and on, as far as anybody can see.\n".repeat(120_000);
    let path = fixture.at("files?name=road.txt&ingest=true");
    let file = fixture
        .admin
        .upload(&path, text.as_bytes())
        .await
        .expect(201);
    let reader = eventually("it is read", async || {
        let reader = *readers(service.api.id()).first()?;
        (confined(reader) == [(true, true); 2]).then_some(reader)
    })
    .await;
    // Only root may read it.
    if let Ok(open) = std::fs::read_dir(format!("/proc/{reader}/fd")) {
        let mut open: Vec<_> = open.map(|entry| entry.unwrap().file_name()).collect();
        open.sort();
        assert_eq!(open, ["0", "1", "2"]);
    }
    let status = fixture.at(&format!("files/{}/status", id(&file)));
    eventually("it has been read", async || {
        let status = fixture.admin.get(&status).await.expect(200);
        (status["stage"] == "embed" && status["chunks"].as_i64() > Some(1000)).then_some(())
    })
    .await;
    let environment = std::fs::read(format!("{folder}/environment")).unwrap();
    assert_eq!(String::from_utf8_lossy(&environment), "");
    let passed_on = std::fs::read_to_string(format!("{folder}/descriptors")).unwrap();
    assert!(
        passed_on.contains(" -> ") && !passed_on.contains("socket:"),
        "{passed_on}"
    );
    let path = fixture.at(&format!("files/{}", id(&file)));
    fixture.admin.delete(&path).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_has_too_much_of_is_still_told_apart() {
    let provider = Provider::start(model());
    let url = format!("--embedding-url={}", provider.url);
    let line = "The road goes on and on, as far as anybody can see.\n";
    for (settings, lines, code) in [
        (
            ["--extract-memory=400000000", "--extract-timeout=2m"],
            1_700_000,
            "too_much_memory",
        ),
        (
            ["--extract-memory=1600000000", "--extract-timeout=2s"],
            1_000_000,
            "timed_out",
        ),
    ] {
        let service = Service::start(&[&*url, settings[0], settings[1]]).await;
        let fixture = service.tenant().await;
        let path = fixture.at("files?name=road.txt&ingest=true");
        let text = line.repeat(lines);
        let file = fixture.admin.upload(&path, text.as_bytes());
        let path = fixture.at(&format!("files/{}/status", id(&file.await.expect(201))));
        let status = eventually(code, async || {
            let status = fixture.admin.get(&path).await.expect(200);
            status["finished_at"].is_string().then_some(status)
        })
        .await;
        assert_eq!(status["error"]["code"], code, "{status}");
    }
}

/// Runs the command as a user without privileges, if the tests run as root.
fn without_rights(program: &Path) -> Command {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let (user, group) = (
        format!("--reuid={UNPRIVILEGED_USER}"),
        format!("--regid={UNPRIVILEGED_USER}"),
    );
    command
        .args([&*user, &group, "--clear-groups"])
        .arg(program);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_the_same_user_reads_the_service() {
    let folder = PathBuf::from(environment("FOLDER"));
    let binary = folder.join(format!("patchbay-api-{}", free_port()));
    std::fs::hard_link(BINARY, &binary)
        .or_else(|_| std::fs::copy(BINARY, &binary).map(drop))
        .unwrap();
    let provider = Provider::start(model());
    let (url, extractor) = (
        format!("--embedding-url={}", provider.url),
        // The installed program, as in production.
        "--extractor=/proc/self/exe",
    );
    let service = Service::start_with(&[&url, extractor], |schema| {
        let objects = folder.join(format!("{schema}-objects"));
        std::fs::create_dir_all(&objects).unwrap();
        let _ = chown(&objects, Some(UNPRIVILEGED_USER), Some(UNPRIVILEGED_USER));
        let mut command = without_rights(&binary);
        command.env("PATCHBAY_TEST_MARK", "a-secret-of-the-service");
        command
    })
    .await;
    let process = service.api.id();
    let of = |name: &str| format!("/proc/{process}/{name}");
    // The kernel gives unreadable files to root.
    assert_eq!(std::fs::metadata(of("environ")).unwrap().uid(), 0);
    for name in ["environ", "mem", "maps"] {
        let read = without_rights(Path::new("/bin/head"))
            .args(["-c", "1", &of(name)])
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&read.stderr);
        assert!(
            !read.status.success() && words.contains("Permission denied"),
            "{name}: {read:?}"
        );
    }
    // And it can still start the extractor.
    let fixture = service.tenant().await;
    let path = fixture.at("files?name=a.txt&ingest=true");
    let file = fixture.admin.upload(&path, b"All is well.").await;
    let path = fixture.at(&format!("files/{}/status", id(&file.expect(201))));
    let status = eventually("the ingest ends", async || {
        let status = fixture.admin.get(&path).await.expect(200);
        status["finished_at"].is_string().then_some(status)
    })
    .await;
    assert_eq!(status["state"], "done", "{status}");
    std::fs::remove_file(binary).unwrap();
}
