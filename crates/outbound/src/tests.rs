//! Hostile addresses: the check of URLs by itself, and the connector with every connection redirected to one
//! listener on loopback, which must accept none.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{Client, Error, HttpResponse, Network, Policy, Request};

/// URLs that must be refused without resolution.
const HOSTILE: [&str; 56] = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.255.255.254:6379/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://%31%32%37.0.0.1/",
    "http://127。0。0。1/",
    "http://①②⑦.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://167772161/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://0xc0a80101/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://203.0.113.5/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001::1]/",
    "http://[2001:db8::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://db.localhost/",
    "http://metadata.google.internal/",
    "http://printer.local/",
    "http://postgres:5432/",
    "http://user:pass@example.org/",
];

/// URLs that are not HTTP.
const NO_CALLS: [&str; 8] = [
    "file:///etc/passwd",
    "gopher://example.org/",
    "ftp://example.org/",
    "unix:/run/x.sock",
    "javascript:alert(1)",
    "http://",
    "//example.org/",
    "",
];

struct Listener {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl Listener {
    /// Answers the n-th request with the n-th response, and later ones with the last.
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        tokio::spawn({
            let count = Arc::clone(&count);
            async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let index = count.fetch_add(1, Ordering::SeqCst);
                    let answer = answers.get(index).or(answers.last()).cloned();
                    let mut request = [0; 4096];
                    let length = stream.read(&mut request).await.unwrap_or_default();
                    let text = String::from_utf8_lossy(&request[..length]);
                    let token = text.contains("secret-token");
                    let answer = answer
                        .unwrap_or_default()
                        .replace("{token}", &format!("{token:<7}"));
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        Self { address, count }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// A client whose every connection goes to this listener; names resolve to the items of `resolve`, in turn.
    fn client(&self, resolve: Vec<&'static str>) -> Client {
        let turn = AtomicUsize::new(0);
        let network = Network {
            dial: Some(self.address),
            resolve: Some(Arc::new(move |_| {
                let turn = turn.fetch_add(1, Ordering::SeqCst).min(resolve.len() - 1);
                let addresses = resolve[turn]
                    .split(' ')
                    .map(|a| a.parse::<IpAddr>().unwrap());
                let addresses: Vec<_> = addresses.collect();
                Box::pin(async move { io::Result::Ok(addresses) })
            })),
        };
        Client::new(Policy::default(), network).unwrap()
    }
}

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn redirect(status: u16, location: &str) -> String {
    answer(&format!("{status} Elsewhere\r\nlocation: {location}"), "")
}

fn request(url: &str) -> Request {
    Request {
        method: Method::GET,
        url: url.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(2),
        max_bytes: 100,
    }
}

async fn call(client: &Client, url: &str) -> Result<HttpResponse, Error> {
    client.call(request(url)).await
}

const PUBLIC: &str = "93.184.216.34";

#[test]
fn hostile_urls_are_refused_when_they_are_written_down() {
    let policy = Policy::default();
    for url in HOSTILE.into_iter().chain(NO_CALLS) {
        assert!(policy.check_url(url).is_err(), "{url}");
    }
}

#[tokio::test]
async fn hostile_urls_reach_nobody() {
    let listener = Listener::start(vec![answer("200 OK", "inside!")]).await;
    let client = listener.client(vec!["127.0.0.1"]);
    for url in HOSTILE.into_iter().chain(NO_CALLS) {
        assert!(
            matches!(call(&client, url).await, Err(Error::Refused(_))),
            "{url}"
        );
    }
    assert_eq!(listener.count(), 0);
}

#[tokio::test]
async fn names_that_lead_inside_reach_nobody() {
    let listener = Listener::start(vec![answer("200 OK", "inside!")]).await;
    for inside in [
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fd00::1",
    ] {
        for mixed in [inside.to_owned(), format!("{PUBLIC} {inside}")] {
            let client = listener.client(vec![mixed.leak()]);
            let refused = call(&client, "http://rebind.example.org/").await;
            assert!(
                matches!(refused, Err(Error::Refused(_))),
                "{inside}: {refused:?}"
            );
        }
    }
    assert_eq!(listener.count(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_each_time() {
    let listener = Listener::start(vec![answer("200 OK", "outside")]).await;
    let client = listener.client(vec![PUBLIC, "127.0.0.1"]);
    let first = call(&client, "http://rebind.example.org/").await.unwrap();
    assert_eq!(&*first.body, b"outside");
    let second = call(&client, "http://rebind.example.org/").await;
    assert!(matches!(second, Err(Error::Refused(_))), "{second:?}");
    assert_eq!(listener.count(), 1);
}

#[tokio::test]
async fn redirects_are_checked_and_counted() {
    for target in [
        "http://127.0.0.1/",
        "http://[::1]/",
        "//2130706433/",
        "file:///etc/passwd",
        "http://localhost:9200/",
    ] {
        let listener = Listener::start(vec![redirect(302, target)]).await;
        let client = listener.client(vec![PUBLIC]);
        let refused = call(&client, "http://example.org/").await;
        assert!(
            matches!(refused, Err(Error::Refused(_))),
            "{target}: {refused:?}"
        );
        assert_eq!(listener.count(), 1, "{target}");
    }
    let listener = Listener::start(vec![redirect(302, "/again")]).await;
    let client = listener.client(vec![PUBLIC]);
    let endless = call(&client, "http://example.org/").await;
    assert!(
        matches!(endless, Err(Error::TooManyRedirects)),
        "{endless:?}"
    );
    assert_eq!(listener.count(), 4);
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    for (target, sent) in [("/next", "true"), ("http://other.example.org/", "false")] {
        let answers = vec![redirect(307, target), answer("200 OK", "{token}")];
        let listener = Listener::start(answers).await;
        let client = listener.client(vec![PUBLIC]);
        let mut with_token = request("http://example.org/");
        let token = HeaderValue::from_static("Bearer secret-token");
        with_token.headers.insert(AUTHORIZATION, token);
        let answer = client.call(with_token.clone()).await.unwrap();
        assert!(
            String::from_utf8_lossy(&answer.body).starts_with(&sent[..4]),
            "{target}"
        );
        with_token.method = Method::POST;
        with_token.body = Bytes::from_static(b"secret-token");
        let listener = Listener::start(vec![redirect(307, "http://other.example.org/")]).await;
        let refused = listener.client(vec![PUBLIC]).call(with_token).await;
        assert!(
            matches!(refused, Err(Error::ForeignRedirect)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n80\r\n";
    let endless = format!(
        "{chunked}{}\r\n80\r\n{}\r\n",
        "x".repeat(128),
        "x".repeat(128)
    );
    for large in [answer("200 OK", &"x".repeat(101)), endless] {
        let listener = Listener::start(vec![large]).await;
        let refused = call(&listener.client(vec![PUBLIC]), "http://example.org/").await;
        assert!(matches!(refused, Err(Error::TooLarge(100))), "{refused:?}");
    }
    let bomb = answer("200 OK\r\ncontent-encoding: gzip", "x");
    let listener = Listener::start(vec![bomb]).await;
    let refused = call(&listener.client(vec![PUBLIC]), "http://example.org/").await;
    assert!(matches!(refused, Err(Error::Encoded(_))), "{refused:?}");
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let network = Network {
        dial: Some(silent.local_addr().unwrap()),
        ..Network::default()
    };
    let client = Client::new(Policy::default(), network).unwrap();
    let mut short = request(&format!("http://{PUBLIC}/"));
    short.timeout = Duration::from_millis(200);
    let late = client.call(short).await;
    assert!(matches!(late, Err(Error::Timeout(_))), "{late:?}");
}
