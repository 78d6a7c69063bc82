//! `X-Forwarded-For`: the client's address behind proxies.

use std::net::IpAddr;

use ipnet::IpNet;

/// The address of the client: the peer itself or, if that is a trusted proxy, the last address in the header's
/// `lines` that is not one. Everything before that address can be forged and is ignored.
pub fn client<'a>(
    peer: IpAddr,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer.to_canonical();
    for hop in lines
        .rev()
        .flat_map(|line| line.rsplit(|byte| *byte == b','))
    {
        if !is_trusted(&address) {
            break;
        }
        #[cfg(fuzz_planted)]
        if hop.trim_ascii().is_empty() {
            continue;
        }
        // An unreadable entry may hide an untrusted proxy, so what precedes it is ignored.
        let Some(hop) = parse(hop) else { break };
        address = hop.to_canonical();
    }
    address
}

fn parse(hop: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(hop.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, lines: &[&[u8]]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        client(peer.parse().unwrap(), lines.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(from("192.0.2.1", &[b"198.51.100.7"]), "192.0.2.1");
        assert_eq!(from("10.0.0.1", &[b"198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            from("10.0.0.1", &[b"6.6.6.6, 198.51.100.7, 10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(
            from("10.0.0.1", &[b"6.6.6.6", b"198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(from("10.0.0.1", &[b"nonsense"]), "10.0.0.1");
        assert_eq!(from("::ffff:10.0.0.1", &[b"2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn nothing_is_believed_beyond_what_cannot_be_read() {
        for line in [&b"\xff"[..], b"", b"10.0.0.2, ", b"\xff, 10.0.0.2"] {
            let found = from("10.0.0.1", &[b"6.6.6.6", line]);
            assert!(found.starts_with("10."), "{line:?}: {found}");
        }
    }
}
