//! The address of a client.

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use patchbay_domain::forwarded;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the address of the client; `X-Forwarded-For` counts only as far as trusted proxies wrote it.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let lines: Vec<_> = headers
        .get_all(FORWARDED_FOR)
        .map(HeaderValue::as_bytes)
        .collect();
    forwarded::client(peer, lines.into_iter(), trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_line_that_is_not_text_hides_the_addresses_before_it() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let from = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
            }
            client("10.0.0.1".parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(from(&[b"6.6.6.6", b"198.51.100.7"]), "198.51.100.7");
        assert_eq!(from(&[b"6.6.6.6", b"\xff, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(from(&[b"6.6.6.6", b"\xff"]), "10.0.0.1");
    }
}
