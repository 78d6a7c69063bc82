//! Which addresses outbound requests may go to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be parsed.
    #[error("this is no URL")]
    Url,
    /// Neither http nor https.
    #[error("the scheme `{0}` is not allowed; http and https are")]
    Scheme(String),
    /// A user name or password in the URL, which would end up in logs.
    #[error("credentials do not belong into a URL")]
    Credentials,
    /// The URL has no host.
    #[error("the URL has no host")]
    NoHost,
    /// A name of this machine or its network.
    #[error("the host `{0}` is not on the internet")]
    Name(String),
    /// An address of this machine, a private network or a special purpose.
    #[error("the address {0} is not on the internet")]
    Address(IpAddr),
}

/// IPv4 networks that are not public (IANA's special-purpose registry, multicast, reserved).
const INSIDE_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6 networks within the global range 2000::/3 that are not public, or tunnels.
const INSIDE_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Suffixes of internal names.
const INSIDE_NAMES: [&str; 8] = [
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home.arpa",
    "localdomain",
    "onion",
];

/// The policy: public addresses, and the networks that the operator allows.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allowed: Vec<IpNet>,
}

impl Policy {
    /// Public addresses and these networks.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Checks a URL without resolving its name: when it is stored, and again at every redirect.
    pub fn check_url(&self, text: &str) -> Result<Url, Refused> {
        let url = Url::parse(text).map_err(|_| Refused::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        // The parser has already converted decimal, octal, hexadecimal and short forms.
        let host = url.host().ok_or(Refused::NoHost)?.to_owned();
        self.check_host(&host)?;
        Ok(url)
    }

    /// Checks a host without resolving its name.
    pub fn check_host(&self, host: &Host) -> Result<(), Refused> {
        match host {
            Host::Ipv4(address) => self.check_address((*address).into()),
            Host::Ipv6(address) => self.check_address((*address).into()),
            Host::Domain(name) => self.check_name(name),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Refused> {
        let plain = name.trim_end_matches('.').to_ascii_lowercase();
        // If the operator allows private networks, names in them are allowed too.
        if !self.allowed.is_empty() && !plain.is_empty() {
            return Ok(());
        }
        let is_inside = |ending: &&str| {
            let rest = plain.strip_suffix(*ending);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if !plain.contains('.') || INSIDE_NAMES.iter().any(is_inside) {
            return Err(Refused::Name(name.to_owned()));
        }
        Ok(())
    }

    /// Checks an address right before the connection to it.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refused> {
        let real = unwrapped(address);
        if self.allowed.iter().any(|net| net.contains(&real)) {
            return Ok(());
        }
        let inside = match real {
            IpAddr::V4(v4) => INSIDE_V4.iter().any(|net| in_v4(v4, *net)),
            IpAddr::V6(v6) => {
                !in_v6(v6, (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3))
                    || INSIDE_V6.iter().any(|net| in_v6(v6, *net))
            }
        };
        if inside {
            return Err(Refused::Address(address));
        }
        Ok(())
    }
}

/// The IPv4 address inside of an IPv6 one: mapped, or translated by NAT64.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let translated = in_v6(v6, (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96));
    match v6.to_ipv4_mapped() {
        Some(v4) => v4.into(),
        None if translated => Ipv4Addr::from_bits(v6.to_bits() as u32).into(),
        None => address,
    }
}

fn in_v4(address: Ipv4Addr, (net, bits): (Ipv4Addr, u8)) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= u32::from(bits)
}

fn in_v6(address: Ipv6Addr, (net, bits): (Ipv6Addr, u8)) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internet_is_allowed() {
        let policy = Policy::default();
        for good in [
            "https://example.org/hook?x=1",
            "http://93.184.216.34:8080/",
            "https://[2606:2800:220:1:248:1893:25c8:1946]/",
            "https://[64:ff9b::5db8:d822]/",
            "https://localhost.example.org/",
        ] {
            assert!(policy.check_url(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn the_operator_may_allow_a_network() {
        let policy = Policy::new(vec!["10.1.0.0/16".parse().unwrap()]);
        assert!(policy.check_url("http://10.1.2.3/").is_ok());
        assert!(policy.check_url("http://[::ffff:10.1.2.3]/").is_ok());
        assert!(policy.check_url("http://crm.internal/").is_ok());
        assert!(policy.check_url("http://10.2.2.3/").is_err());
        assert!(policy.check_url("http://169.254.169.254/").is_err());
    }
}
