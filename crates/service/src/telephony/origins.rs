//! Where calls may come from: addresses and networks that a tenant names.
//!
//! Whoever is in them may call, so a network is what a carrier publishes and never the world. Networks
//! inside (private, this machine) are the operator's to allow, as for calls of tools: behind a proxy all
//! callers look as if they came from there.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use patchbay_domain::{Invalid, text::Text};

use crate::Error;

/// Most networks of a mapping, and most of its headers.
pub const MOST: usize = 50;

/// At most so many entries.
pub fn at_most(pointer: &str, count: usize) -> Result<(), Error> {
    if count > MOST {
        let invalid = Invalid::new("too_many", format!("at most {MOST} are allowed"));
        return Err(Error::invalid_at(pointer, invalid));
    }
    Ok(())
}

/// Fewest bits that a network has: carriers publish blocks of /20 and smaller.
const LEAST_V4: u8 = 16;

/// The same of IPv6, where /32 is what a carrier gets.
const LEAST_V6: u8 = 32;

/// Networks inside: this machine, private, carrier-grade NAT, unique local.
const INSIDE: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
];

/// Where no call comes from: unspecified, link-local, multicast, reserved.
const NOWHERE: [&str; 4] = ["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"];

/// The networks as LiveKit reads them, once they are checked; `allowed` are those of the operator.
pub fn checked(addresses: Vec<Text<1, 64>>, allowed: &[IpNet]) -> Result<Vec<String>, Error> {
    at_most("/allowed_addresses", addresses.len())?;
    let read = |(index, text): (usize, Text<1, 64>)| {
        let checked = read(&text).and_then(|net| check(net, allowed).map(|()| shown(net)));
        checked
            .map_err(|invalid| Error::invalid_at(&format!("/allowed_addresses/{index}"), invalid))
    };
    addresses.into_iter().enumerate().map(read).collect()
}

/// A network without bits beyond its mask. IPv4 in IPv6 is IPv4: that is what callers come with.
fn read(text: &str) -> Result<IpNet, Invalid> {
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
    if is_in(net, &INSIDE) {
        if allowed.iter().any(|own| own.contains(&net)) {
            return Ok(());
        }
        let message = format!("{net} is not on the internet; the operator has not allowed it");
        return Err(Invalid::new("address_refused", message));
    }
    let least = match net {
        IpNet::V4(_) => LEAST_V4,
        IpNet::V6(_) => LEAST_V6,
    };
    if net.prefix_len() < least {
        let message = format!("{net} is too large: at least /{least} is needed");
        return Err(Invalid::new("network_too_large", message));
    }
    let is_nowhere = match net {
        IpNet::V4(_) => is_in(net, &NOWHERE),
        IpNet::V6(v6) => !global().contains(&v6),
    };
    if is_nowhere {
        let message = format!("no call comes from {net}");
        return Err(Invalid::new("address_refused", message));
    }
    Ok(())
}

fn is_in(net: IpNet, list: &[&str]) -> bool {
    let networks = list.iter().filter_map(|text| text.parse::<IpNet>().ok());
    networks.into_iter().any(|known| known.contains(&net))
}

/// All of the internet that speaks IPv6.
fn global() -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
}

/// A single address without its mask.
fn shown(net: IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str, allowed: &[&str]) -> Result<String, String> {
        let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().unwrap()).collect();
        let net = read(text).map_err(|invalid| invalid.code)?;
        let checked = check(net, &allowed);
        checked.map_err(|invalid| invalid.code)?;
        Ok(shown(net))
    }

    #[test]
    fn networks_of_carriers_are_taken() {
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
            assert_eq!(taken(text, &[]).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_world_is_refused_in_every_spelling() {
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
            let refused = taken(text, &["0.0.0.0/0", "::/0"]);
            assert_eq!(refused.unwrap_err(), "network_too_large", "{text}");
        }
        // Narrow enough, and yet every IPv4 address: mapped, compatible or translated.
        for text in ["::/32", "::/96", "::ffff:0:0/95", "64:ff9b::/96"] {
            assert_eq!(taken(text, &[]).unwrap_err(), "address_refused", "{text}");
        }
    }

    #[test]
    fn what_is_inside_is_the_operators_to_allow() {
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
            assert_eq!(taken(text, &[]).unwrap_err(), "address_refused", "{text}");
            let allowed = ["0.0.0.0/0", "::/0"];
            assert!(taken(text, &allowed).is_ok(), "{text}");
        }
        assert!(taken("10.1.0.0/16", &["10.1.0.0/16"]).is_ok());
        assert!(taken("10.0.0.0/15", &["10.1.0.0/16"]).is_err());
        for text in [
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
        ] {
            let refused = taken(text, &["0.0.0.0/0", "::/0"]);
            assert_eq!(refused.unwrap_err(), "address_refused", "{text}");
        }
        for text in ["", "0/0", "1.2.3", "1.2.3.4/33", "x", "1.2.3.4 /24"] {
            assert_eq!(taken(text, &[]).unwrap_err(), "invalid_address", "{text}");
        }
    }
}
