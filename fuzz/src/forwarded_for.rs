//! The header `X-Forwarded-For`.

use std::net::IpAddr;

use arbitrary::{Result, Unstructured};
use ipnet::IpNet;
use patchbay_domain::forwarded::client;

const TRUSTED: [&str; 3] = ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"];
/// Entries of the header.
const HOPS: [&str; 12] = [
    "10.0.0.1",
    " 10.9.9.9",
    "fd00::1",
    "192.0.2.7 ",
    "::ffff:10.0.0.3",
    "198.51.100.7",
    "2001:db8::1",
    "\t203.0.113.9",
    "",
    "unknown",
    "10.0.0.1:80",
    "\u{e9}",
];

/// A peer and the lines of the header.
pub fn target(data: &[u8]) {
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let trusted = TRUSTED.map(|net| net.parse::<IpNet>().expect("a network"));
    let peers = [
        "10.0.0.1",
        "fd00::9",
        "::ffff:10.1.1.1",
        "198.51.100.1",
        "::1",
    ];
    let peer: IpAddr = u.choose(&peers)?.parse().expect("an address");
    let lines = (0..u.int_in_range(0..=4)?).map(|_| line(u));
    let lines = lines.collect::<Result<Vec<_>>>()?;
    let found = from(peer, &lines, &trusted);
    assert_eq!(found, expected(peer, &lines, &trusted), "{peer}, {lines:?}");
    let is_trusted = trusted.iter().any(|net| net.contains(&found));
    // Everything left of the first untrusted address can be forged.
    if !is_trusted {
        let mut forged = lines.clone();
        match forged.first_mut() {
            Some(first) => drop(first.splice(..0, *b"6.6.6.6, ")),
            None => forged.push(b"6.6.6.6".to_vec()),
        }
        forged.insert(0, b"7.7.7.7".to_vec());
        assert_eq!(from(peer, &forged, &trusted), found, "{peer}, {forged:?}");
    }
    Ok(())
}

fn from(peer: IpAddr, lines: &[Vec<u8>], trusted: &[IpNet]) -> IpAddr {
    client(peer, lines.iter().map(Vec::as_slice), trusted)
}

fn line(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    for index in 0..u.int_in_range(0..=4)? {
        if index > 0 {
            line.push(b',');
        }
        if u.ratio(1, 8)? {
            line.extend_from_slice(u.arbitrary()?);
        } else {
            line.extend_from_slice(u.choose(&HOPS)?.as_bytes());
        }
    }
    Ok(line)
}

/// The same computed from the complete path: each hop was added by the one to its right.
fn expected(peer: IpAddr, lines: &[Vec<u8>], trusted: &[IpNet]) -> IpAddr {
    let hops = lines
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b','));
    let read = |hop: &[u8]| -> Option<IpAddr> {
        let text = String::from_utf8(hop.to_vec()).ok()?;
        let address = text
            .trim_matches([' ', '\t', '\n', '\r', '\x0c'])
            .parse::<IpAddr>();
        Some(address.ok()?.to_canonical())
    };
    let mut way: Vec<Option<IpAddr>> = hops.map(read).collect();
    way.push(Some(peer.to_canonical()));
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let proxy = |hop: &Option<IpAddr>| hop.as_ref().is_some_and(is_trusted);
    let proxies = way.iter().rev().take_while(|hop| proxy(hop)).count();
    let of_proxies = &way[way.len() - proxies..];
    let client = way.iter().rev().nth(proxies).copied().flatten();
    let first_proxy = of_proxies.first().copied().flatten();
    client.or(first_proxy).unwrap_or(peer)
}
