//! How PostgreSQL is reached: its address, and TLS as the URL wants it.

use std::borrow::Cow;

use diesel_async::AsyncPgConnection;
use percent_encoding::percent_decode_str;
use tokio_postgres::{Client, Config, SimpleQueryMessage, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    Error, Result,
    tls::{Mode, Parameters},
};

/// Limits that detect an unreachable server within seconds, unless the URL has other ones.
const NETWORK_LIMITS: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("tcp_user_timeout", "10"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_retries", "2"),
];

/// How often two clients ask for their process before it is taken for granted that each has its own.
const PROBES: usize = 16;

/// How a connection reaches PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Each connection has a process of the server for itself.
    Direct,
    /// A pooler gives out processes for a transaction, so that nothing of a connection outlives it.
    Pooled,
}

/// Connects to the PostgreSQL of a URL.
pub struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    /// The server of `url`. Reads the certificates that it names; errors do not contain the URL.
    pub fn new(url: &str) -> Result<Self> {
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        if !is_url {
            return Err(Error::Unfit("it begins with postgres://".to_owned()));
        }
        let (url, tls) = split(url)?;
        let config: std::result::Result<Config, _> = url.parse();
        // The message of the library may quote the password.
        let mut config = config.map_err(|_| {
            Error::Unfit("it is no URL of PostgreSQL, or has an unknown parameter".to_owned())
        })?;
        config.ssl_mode(match tls.mode()? {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        let tls = MakeRustlsConnect::new(tls.client_config()?);
        Ok(Self { config, tls })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<AsyncPgConnection> {
        // A handshake is large, and would be a part of everything that may have to open a connection.
        let connected = Box::pin(self.config.connect(self.tls.clone())).await;
        let (client, connection) = connected.map_err(unavailable)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection)
            .await
            .map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// Finds out whether there is a pooler on the way: it gives one process of the server to two clients. Fails if
    /// that pooler does not support prepared statements.
    pub async fn route(&self) -> Result<Route> {
        let [one, other] = [self.client().await?, self.client().await?];
        let mut seen = [Vec::new(), Vec::new()];
        // One after the other, since a pooler may give its processes out in turn.
        for (client, seen) in [&one, &other].into_iter().zip(&mut seen) {
            for _ in 0..PROBES {
                seen.push(process_of(client).await?);
            }
        }
        if !seen[0].iter().any(|process| seen[1].contains(process)) {
            return Ok(Route::Direct);
        }
        for client in [&one, &other] {
            let prepared = client.query_one("SELECT 1 + $1::int4", &[&1_i32]).await;
            prepared.map_err(|error| {
                Error::Unfit(format!(
                    "the pooler must support prepared statements, as PgBouncer does from 1.21 with \
                     max_prepared_statements: {}",
                    with_causes(&error)
                ))
            })?;
        }
        Ok(Route::Pooled)
    }

    /// Fails if there is a pooler on the way.
    pub async fn require_direct(&self) -> Result<()> {
        match self.route().await? {
            Route::Direct => Ok(()),
            Route::Pooled => Err(Error::Unfit(
                "it leads to a pooler; this needs a URL that reaches PostgreSQL directly"
                    .to_owned(),
            )),
        }
    }

    /// Opens a connection that is driven until the client is dropped.
    async fn client(&self) -> Result<Client> {
        let connected = Box::pin(self.config.connect(self.tls.clone())).await;
        let (client, connection) = connected.map_err(unavailable)?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// The server's process that runs this client's next transaction.
async fn process_of(client: &Client) -> Result<Option<String>> {
    let found = client.simple_query("SELECT pg_backend_pid()").await;
    let messages = found.map_err(unavailable)?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
        _ => None,
    }))
}

fn unavailable(error: tokio_postgres::Error) -> Error {
    Error::Unavailable(with_causes(&error))
}

/// An error with what has caused it: the library's own text leaves that out.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Takes the parameters out of a URL that the library does not know, and adds the limits that are not in it.
fn split(url: &str) -> Result<(String, Parameters)> {
    // A password may have a question mark.
    let credentials = url.find('@').unwrap_or_default();
    let (base, query) = match url[credentials..].find('?') {
        Some(at) => (&url[..credentials + at], &url[credentials + at + 1..]),
        None => (url, ""),
    };
    let mut tls = Parameters::default();
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = || percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => tls.mode = Some(value().parse()?),
            "sslrootcert" => tls.root = Some(value()),
            "sslcert" => tls.certificate = Some(value()),
            "sslkey" => tls.key = Some(value()),
            _ => kept.push(Cow::Borrowed(pair)),
        }
    }
    for (name, value) in NETWORK_LIMITS {
        let is_this = |pair: &Cow<'_, str>| pair.split('=').next() == Some(name);
        if !kept.iter().any(is_this) {
            kept.push(format!("{name}={value}").into());
        }
    }
    Ok((format!("{base}?{}", kept.join("&")), tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_tls_is_taken_out_of_a_url() {
        let (url, tls) = split(
            "postgres://me:a?b@db.example/patchbay?sslmode=verify-full&connect_timeout=9&sslrootcert=%2Fetc%2Fca.pem",
        )
        .unwrap();
        assert!(url.starts_with(
            "postgres://me:a?b@db.example/patchbay?connect_timeout=9&tcp_user_timeout=10&"
        ));
        assert!(!url.contains("ssl"));
        assert_eq!(tls.mode, Some(Mode::VerifyFull));
        assert_eq!(tls.root.as_deref(), Some("/etc/ca.pem"));
        let (url, tls) = split("postgres://db.example/patchbay").unwrap();
        assert!(url.contains("patchbay?connect_timeout=5&"), "{url}");
        assert_eq!(tls, Parameters::default());
    }

    #[test]
    fn what_is_wrong_is_named_without_the_password() {
        for (parameters, named) in [
            ("sslmode=strict", "sslmode: "),
            (
                "sslmode=verify-full&sslrootcert=/nowhere.pem",
                "sslrootcert: ",
            ),
            ("sslcert=/nowhere.pem", "sslcert: "),
            ("sslrootcert=/nowhere.pem", "sslrootcert: "),
            ("sslmode=verify-ca&sslrootcert=system", "sslrootcert: "),
            ("sslmode=verify-ca", "sslmode: "),
            ("connect_timeout=soon", "it is no URL"),
        ] {
            let url = format!("postgres://me:secret@db.example/patchbay?{parameters}");
            let Err(error) = Connector::new(&url) else {
                panic!("{parameters} was accepted");
            };
            let error = error.to_string();
            assert!(error.starts_with(named), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
