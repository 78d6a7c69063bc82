//! Allowed source addresses and networks of inbound calls, which the tenant sets.
//!
//! Any host in them may call, so a network has the size that carriers publish and is never the whole internet.
//! Private and loopback networks need the operator's permission, as for tool calls: behind a proxy every caller
//! seems to come from there.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use patchbay_domain::{Invalid, text::Text};

use crate::Error;

/// Maximum number of networks, and of headers, of a mapping.
pub const MAX_ENTRIES: usize = 50;

/// Checks the number of entries.
pub fn check_count(pointer: &str, count: usize) -> Result<(), Error> {
    if count > MAX_ENTRIES {
        let invalid = Invalid::new("too_many", format!("at most {MAX_ENTRIES} are allowed"));
        return Err(Error::invalid_at(pointer, invalid));
    }
    Ok(())
}

/// Minimum prefix length of an IPv4 network: carriers publish blocks of /20 and smaller.
const MIN_PREFIX_V4: u8 = 16;

/// Minimum prefix length of an IPv6 network: carriers are allocated /32.
const MIN_PREFIX_V6: u8 = 32;

/// Private networks: loopback, private use, carrier-grade NAT, unique local.
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
];

/// Networks that are no source of calls: unspecified, link-local, multicast, reserved.
const UNUSABLE: [&str; 4] = ["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"];

/// Checks the networks, and returns them in LiveKit's format. `allowed` are the private networks that the
/// operator permits.
pub fn checked(addresses: Vec<Text<1, 64>>, allowed: &[IpNet]) -> Result<Vec<String>, Error> {
    check_count("/allowed_addresses", addresses.len())?;
    let parse = |(index, text): (usize, Text<1, 64>)| {
        let checked =
            parse_network(&text).and_then(|net| check(net, allowed).map(|()| format_network(net)));
        checked
            .map_err(|invalid| Error::invalid_at(&format!("/allowed_addresses/{index}"), invalid))
    };
    addresses.into_iter().enumerate().map(parse).collect()
}

/// Parses a network and clears its host bits. IPv4-mapped IPv6 becomes IPv4, as which LiveKit sees such callers.
fn parse_network(text: &str) -> Result<IpNet, Invalid> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let net = text.parse::<IpNet>().or(address).map_err(|_| {
        let message = "an address or a network is needed, such as `203.0.113.0/24`";
        Invalid::new("invalid_address", message)
    })?;
    let mapped = match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.addr().to_ipv4_mapped().zip(Some(v6)),
        _ => None,
    };
    let v4 = mapped.and_then(|(address, v6)| Ipv4Net::new(address, v6.prefix_len() - 96).ok());
    Ok(v4.map_or(net, IpNet::V4).trunc())
}

fn check(net: IpNet, allowed: &[IpNet]) -> Result<(), Invalid> {
    if is_in(net, &PRIVATE) {
        if allowed.iter().any(|network| network.contains(&net)) {
            return Ok(());
        }
        let message = format!("{net} is a private network that the operator has not allowed");
        return Err(Invalid::new("address_refused", message));
    }
    let min_prefix = match net {
        IpNet::V4(_) => MIN_PREFIX_V4,
        IpNet::V6(_) => MIN_PREFIX_V6,
    };
    if net.prefix_len() < min_prefix {
        let message = format!("{net} is too large: the prefix must be at least /{min_prefix}");
        return Err(Invalid::new("network_too_large", message));
    }
    let is_unusable = match net {
        IpNet::V4(_) => is_in(net, &UNUSABLE),
        IpNet::V6(v6) => !global_v6().contains(&v6),
    };
    if is_unusable {
        let message = format!("{net} cannot be the source of a call");
        return Err(Invalid::new("address_refused", message));
    }
    Ok(())
}

fn is_in(net: IpNet, list: &[&str]) -> bool {
    let networks = list.iter().filter_map(|text| text.parse::<IpNet>().ok());
    networks.into_iter().any(|network| network.contains(&net))
}

/// The global unicast addresses of IPv6.
fn global_v6() -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
}

/// Formats a network; a single address without its prefix length.
fn format_network(net: IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str, allowed: &[&str]) -> Result<String, String> {
        let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
        let net = parse_network(text).map_err(|invalid| invalid.code)?;
        let checked = check(net, &allowed);
        checked.map_err(|invalid| invalid.code)?;
        Ok(format_network(net))
    }

    #[test]
    fn networks_of_carriers_are_accepted() {
        for (text, expected) in [
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9/32", "203.0.113.9"),
            ("54.172.60.0/23", "54.172.60.0/23"),
            ("212.227.0.0/16", "212.227.0.0/16"),
            ("203.0.113.77/24", "203.0.113.0/24"),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2A02:2450:0:0::1", "2a02:2450::1"),
        ] {
            assert_eq!(accept(text, &[]).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_whole_internet_is_refused_in_every_notation() {
        for text in [
            "0.0.0.0/0",
            "203.0.113.9/0",
            "0.0.0.0/1",
            "128.0.0.0/1",
            "54.0.0.0/8",
            "54.0.0.0/15",
            "10.0.0.0/7",
            "224.0.0.0/3",
            "::/0",
            "::/1",
            "2000::/3",
            "2001:db8::/31",
            "2002::/16",
            "::ffff:0:0/96",
            "::ffff:0.0.0.0/97",
            "::ffff:54.0.0.0/104",
        ] {
            let refused = accept(text, &["0.0.0.0/0", "::/0"]);
            assert_eq!(refused.unwrap_err(), "network_too_large", "{text}");
        }
        // Their prefix is long enough, but they contain every IPv4 address: mapped, compatible or translated.
        for text in ["::/32", "::/96", "::ffff:0:0/95", "64:ff9b::/96"] {
            assert_eq!(accept(text, &[]).unwrap_err(), "address_refused", "{text}");
        }
    }

    #[test]
    fn private_networks_need_the_operators_permission() {
        for text in [
            "10.0.0.0/8",
            "10.1.2.3",
            "127.0.0.0/8",
            "::1",
            "192.168.1.0/24",
            "100.64.0.0/10",
            "::ffff:10.1.2.3",
            "fd00::/8",
        ] {
            assert_eq!(accept(text, &[]).unwrap_err(), "address_refused", "{text}");
            let allowed = ["0.0.0.0/0", "::/0"];
            assert!(accept(text, &allowed).is_ok(), "{text}");
        }
        assert!(accept("10.1.0.0/16", &["10.1.0.0/16"]).is_ok());
        assert!(accept("10.0.0.0/15", &["10.1.0.0/16"]).is_err());
        for text in [
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
        ] {
            let refused = accept(text, &["0.0.0.0/0", "::/0"]);
            assert_eq!(refused.unwrap_err(), "address_refused", "{text}");
        }
        for text in ["", "0/0", "1.2.3", "1.2.3.4/33", "x", "1.2.3.4 /24"] {
            assert_eq!(accept(text, &[]).unwrap_err(), "invalid_address", "{text}");
        }
    }
}
