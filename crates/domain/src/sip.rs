//! Addresses of carriers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer};
use url::Host;

use crate::{invalid::Invalid, words::words};

words! {
    /// SIP transport to a carrier.
    #[derive(Default)]
    pub enum Transport {
        /// As the carrier's DNS records say.
        #[default]
        Auto = "auto",
        /// UDP.
        Udp = "udp",
        /// TCP.
        Tcp = "tcp",
        /// TLS.
        Tls = "tls",
    }
}

/// Address of a carrier: a host name or IP address, and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipAddress {
    /// The host.
    pub host: Host,
    /// The port, if it is not the default one.
    pub port: Option<u16>,
}

impl FromStr for SipAddress {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            let message = "a host is needed, and perhaps a port, such as `sip.example.org:5060`";
            Invalid::new("invalid_address", message)
        };
        let bracketed = text.starts_with('[');
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !bracketed || host.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = port.map(|port| port.parse::<u16>().map_err(|_| wrong()));
        let port = port.transpose()?;
        // Host::parse accepts percent signs and spaces; a carrier's name has neither.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]_".contains(c);
        if text.len() > 255 || port == Some(0) || !host.chars().all(plain) {
            return Err(wrong());
        }
        let host = Host::parse(host).map_err(|_| wrong())?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for SipAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

impl<'de> Deserialize<'de> for SipAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use utoipa::{
        ToSchema,
        openapi::{RefOr, schema::Schema},
    };

    use crate::schema::{ComposeSchema, custom_format, text};

    use super::SipAddress;

    impl ComposeSchema for SipAddress {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            text(1, 255)
                .format(Some(custom_format("sip-address")))
                .description(Some("Host of a carrier, optionally with a port."))
                .into()
        }
    }
    impl ToSchema for SipAddress {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports_are_read() {
        for (text, shown) in [
            ("sip.example.org", "sip.example.org"),
            ("SIP.Example.org:5061", "sip.example.org:5061"),
            ("203.0.113.7:5060", "203.0.113.7:5060"),
            ("[2001:db8::1]:5060", "[2001:db8::1]:5060"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(text.parse::<SipAddress>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn anything_more_is_refused() {
        for wrong in [
            "",
            "sip:sip.example.org",
            "sips://x",
            "user@sip.example.org",
            "sip.example.org;transport=tcp",
            "sip.example.org:0",
            "sip.example.org:99999",
            "a b",
            "x%41",
            "2001:db8::1",
            "sip.example.org/",
        ] {
            assert!(wrong.parse::<SipAddress>().is_err(), "{wrong}");
        }
    }
}
