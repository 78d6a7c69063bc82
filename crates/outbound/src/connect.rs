//! The connector: resolves, checks every address, and connects to one that was checked.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

use crate::{Policy, Refused};

/// Timeout of one connection attempt.
const CONNECT: Duration = Duration::from_secs(5);

type Future_<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Resolve = dyn Fn(String) -> Future_<io::Result<Vec<IpAddr>>> + Send + Sync;

/// Name resolution and connections; the system's, except in tests.
#[derive(Clone, Default)]
pub struct Network {
    /// Resolves names instead of the system.
    pub resolve: Option<Arc<Resolve>>,
    /// Where all connections go instead, after the address was checked.
    pub dial: Option<SocketAddr>,
}

/// Connects to addresses that the policy allows.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) policy: Policy,
    pub(crate) network: Network,
}

impl Connector {
    async fn connect(self, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
        let default = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = uri.port_u16().unwrap_or(default);
        let host = uri.host().unwrap_or_default();
        let addresses = self.admitted(host.to_owned()).await?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            let address = self.network.dial.unwrap_or(SocketAddr::new(address, port));
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// The addresses of a host, if all of them are allowed.
    pub(crate) async fn admitted(&self, host: String) -> io::Result<Vec<IpAddr>> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = self.resolve(host).await?;
        // A name with both public and internal addresses is refused: that is how DNS rebinding works.
        for address in &addresses {
            self.policy.check_address(*address).map_err(refusal)?;
        }
        Ok(addresses)
    }

    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if let Some(resolve) = &self.network.resolve {
            return resolve(host.to_owned()).await;
        }
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

fn refusal(refused: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, refused)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Future_<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
