//! PostgreSQL over TLS: the modes, certificates and passwords of a server that refuses plain text.
//!
//! They need a PostgreSQL that was built with TLS, whose programs are in `PATCHBAY_TEST_TLS_POSTGRES`.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use diesel::{QueryableByName, sql_types::Text};
use diesel_async::RunQueryDsl as _;
use patchbay_persistence::Connector;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::support::{Process, environment, free_port};

const PASSWORD: &str = "a-password-of-the-test";

#[derive(QueryableByName)]
struct Encryption {
    #[diesel(sql_type = Text)]
    version: String,
}

/// A server whose certificate is for `localhost` alone.
struct TlsServer {
    _postgres: Process,
    folder: PathBuf,
    port: u16,
}

impl TlsServer {
    fn start() -> Self {
        let port = free_port();
        let folder = PathBuf::from(environment("FOLDER")).join(format!("tls-{port}"));
        fs::create_dir_all(folder.join("data")).unwrap();
        make_certificates(&folder);
        fs::write(folder.join("password"), PASSWORD).unwrap();
        own(&folder);
        let data = folder.join("data");
        let mut initdb = unprivileged("initdb");
        initdb.arg("--pgdata").arg(&data);
        initdb.args(["--username=patchbay", "--auth=scram-sha-256", "--no-sync"]);
        initdb.arg("--pwfile").arg(folder.join("password"));
        let made = initdb.output().unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let rules = "hostssl all patchbay 127.0.0.1/32 scram-sha-256\nhostssl all certified 127.0.0.1/32 cert\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let file = |name: &str| folder.join(name).display().to_string();
        let mut server = unprivileged("postgres");
        server
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""]);
        for (name, value) in [
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", file("server.pem")),
            ("ssl_key_file", file("server.key")),
            ("ssl_ca_file", file("ca.pem")),
        ] {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        let mut postgres = Process::of("tls-postgres", server);
        postgres.wait_for("ready to accept connections");
        Self {
            _postgres: postgres,
            folder,
            port,
        }
    }

    /// The version of TLS that a connection has.
    async fn connect(&self, user: &str, host: &str, parameters: &str) -> Result<String, String> {
        let folder = self.folder.display().to_string();
        let parameters = parameters.replace("FOLDER", &folder);
        let url = format!(
            "postgres://{user}@{host}:{}/postgres?{parameters}",
            self.port
        );
        let connector = Connector::new(&url).map_err(|error| error.to_string())?;
        let connected = connector.connect().await;
        let mut connection = connected.map_err(|error| error.to_string())?;
        let version = "SELECT coalesce(version, 'none') AS version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let found: Encryption = diesel::sql_query(version)
            .get_result(&mut connection)
            .await
            .unwrap();
        Ok(found.version)
    }
}

/// A program of the PostgreSQL with TLS, which refuses to run as root.
fn unprivileged(program: &str) -> Command {
    let program = Path::new(&environment("TLS_POSTGRES")).join(program);
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    command.arg(program);
    command
}

fn own(folder: &Path) {
    if is_root() {
        let owned = Command::new("chown")
            .args(["-R", "nobody:nogroup"])
            .arg(folder)
            .status();
        assert!(owned.unwrap().success());
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Makes an authority, another one that has signed nothing, and certificates of the server and of a client.
fn make_certificates(folder: &Path) {
    let authority = |name: &str| {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
    };
    let write = |name: &str, text: String| {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let [ca, other] = ["ca", "other"].map(authority);
    write("ca.pem", ca.pem());
    write("other.pem", other.pem());
    for (name, subject) in [("server", "localhost"), ("client", "certified")] {
        let mut parameters = CertificateParams::new([subject.to_owned()]).unwrap();
        parameters
            .distinguished_name
            .push(DnType::CommonName, subject);
        let key = KeyPair::generate().unwrap();
        let signed = parameters.signed_by(&key, &ca).unwrap();
        write(&format!("{name}.pem"), signed.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL with TLS"]
async fn the_mode_of_the_url_decides_what_is_accepted() {
    let server = TlsServer::start();
    let user = format!("patchbay:{PASSWORD}");
    for (host, parameters, fault) in [
        ("127.0.0.1", "sslmode=disable", Some("no encryption")),
        ("127.0.0.1", "", None),
        ("127.0.0.1", "sslmode=require", None),
        (
            "127.0.0.1",
            "sslmode=require&sslrootcert=FOLDER/other.pem",
            Some("UnknownIssuer"),
        ),
        (
            "127.0.0.1",
            "sslmode=verify-ca&sslrootcert=FOLDER/ca.pem",
            None,
        ),
        (
            "127.0.0.1",
            "sslmode=verify-ca&sslrootcert=FOLDER/other.pem",
            Some("UnknownIssuer"),
        ),
        (
            "127.0.0.1",
            "sslmode=verify-full&sslrootcert=FOLDER/ca.pem",
            Some("not valid for name"),
        ),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=FOLDER/ca.pem",
            None,
        ),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=system",
            Some("UnknownIssuer"),
        ),
        ("localhost", "sslmode=verify-full", Some("UnknownIssuer")),
        (
            "localhost",
            "sslmode=verify-full&sslrootcert=FOLDER/ca.pem&channel_binding=require",
            None,
        ),
    ] {
        let outcome = server.connect(&user, host, parameters).await;
        match fault {
            None => assert_eq!(outcome.as_deref(), Ok("TLSv1.3"), "{host} {parameters}"),
            Some(fault) => {
                let error = outcome.expect_err(parameters);
                assert!(error.contains(fault), "{host} {parameters}: {error}");
                assert!(!error.contains(PASSWORD), "{error}");
            }
        }
    }
    let wrong = server
        .connect("patchbay:wrong", "localhost", "sslmode=require")
        .await;
    assert!(
        wrong
            .unwrap_err()
            .contains("password authentication failed")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL with TLS"]
async fn a_client_is_known_by_its_certificate() {
    let server = TlsServer::start();
    let user = format!("patchbay:{PASSWORD}");
    let certified = "sslmode=verify-full&sslrootcert=FOLDER/ca.pem&sslcert=FOLDER/client.pem&sslkey=FOLDER/client.key";
    let role = "CREATE ROLE certified LOGIN";
    let url = format!(
        "postgres://{user}@localhost:{}/postgres?sslmode=require",
        server.port
    );
    let mut connection = Connector::new(&url).unwrap().connect().await.unwrap();
    diesel::sql_query(role)
        .execute(&mut connection)
        .await
        .unwrap();
    let version = server.connect("certified", "localhost", certified).await;
    assert_eq!(version.as_deref(), Ok("TLSv1.3"));
    let without = server
        .connect("certified", "localhost", "sslmode=require")
        .await;
    assert!(without.unwrap_err().contains("certificate"));
}
