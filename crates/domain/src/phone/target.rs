//! The target of a transfer, normalised before any check.

use std::{borrow::Cow, fmt, str::FromStr};

use percent_encoding::percent_decode_str;

use super::{
    dialled::Dialled,
    emergency,
    number::{MOST_CHARACTERS, PhoneNumber},
    plan, spelling,
    uri::{after_scheme, split_context},
};
use crate::{invalid::Invalid, sip::SipAddress};

/// The target of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferTarget {
    /// A number.
    Number(Dialled),
    /// A SIP URI.
    Sip {
        /// The user, which may be a number.
        user: String,
        /// The country code of its `phone-context`.
        country: Option<u16>,
        /// The host.
        address: SipAddress,
    },
}

/// The user of a SIP URI that consists of digits, as the server may dial it.
pub(crate) struct Digits<'a> {
    /// The digits, perhaps with a leading `+`.
    plain: String,
    /// Whether it contains anything but the usual separators.
    is_clean: bool,
    /// The country that it is dialled in.
    country: Option<u16>,
    user: &'a str,
}

impl TransferTarget {
    /// The digits of a SIP user; none if it is a name. `home` is the tenant's number on the call.
    pub(crate) fn digits(&self, home: Option<&PhoneNumber>) -> Option<Digits<'_>> {
        let Self::Sip { user, country, .. } = self else {
            return None;
        };
        let is_name = user.contains(|c: char| c.is_ascii_alphabetic());
        let digits: String = user.chars().filter(char::is_ascii_digit).collect();
        if is_name || digits.is_empty() {
            return None;
        }
        let behind_plus = user.strip_prefix('+');
        let usual = |c: char| c.is_ascii_digit() || "-.()".contains(c);
        Some(Digits {
            plain: behind_plus.map_or_else(|| digits.clone(), |_| format!("+{digits}")),
            is_clean: behind_plus.unwrap_or(user).chars().all(usual),
            country: country.or_else(|| home?.country_code()),
            user,
        })
    }
}

impl Digits<'_> {
    /// Whether it is an emergency number.
    pub(crate) fn is_emergency(&self) -> bool {
        emergency::is_emergency(&self.plain, self.country)
    }

    /// Its E.164 form and its other possible readings; the first is the one to dial. Empty if it cannot be read.
    pub(crate) fn readings(&self) -> Vec<String> {
        if !self.is_clean || self.user.len() > MOST_CHARACTERS {
            return Vec::new();
        }
        let national = || {
            let country = self.country?;
            let trunk = plan::trunk_prefix(country);
            let usual = trunk.is_some_and(|trunk| self.plain.starts_with(trunk))
                || plan::calls_abroad(country, &self.plain);
            PhoneNumber::national(&self.plain, country)
                .ok()
                .filter(|_| usual)
        };
        let number = || self.plain.parse::<PhoneNumber>().ok();
        let read = match self.plain.starts_with('+') {
            true => number(),
            false => national().or_else(number),
        };
        if let Some(number) = read {
            return vec![number.to_string()];
        }
        // The compiled plans do not know every number in service.
        let digits = spelling::international(&self.plain);
        let Some(digits) = digits.filter(|digits| plan::may_be_in_service(digits)) else {
            return Vec::new();
        };
        let other = plan::without_trunk_prefix(digits);
        let readings = [Some(digits.to_owned()), other].into_iter().flatten();
        readings.map(|digits| format!("+{digits}")).collect()
    }
}

impl FromStr for TransferTarget {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some(rest) = after_scheme(text, "sip:") else {
            return text.parse().map(Self::Number);
        };
        let wrong = || {
            let message = "a number, or `sip:user@host` without parameters, is needed";
            Invalid::new("invalid_target", message)
        };
        let (user, server) = rest.split_once('@').ok_or_else(wrong)?;
        let (user, country) = split_context(user).map_err(|_| wrong())?;
        let user = user_of(user).ok_or_else(wrong)?;
        // Numbers are recognised by their form: the parameter `user=phone` makes no difference.
        let address = match server.rsplit_once(';') {
            Some((address, said)) if said.eq_ignore_ascii_case("user=phone") => address,
            _ => server,
        };
        Ok(Self::Sip {
            user,
            country,
            address: address.parse()?,
        })
    }
}

impl fmt::Display for TransferTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "tel:{number}"),
            Self::Sip { user, address, .. } => write!(f, "sip:{user}@{address}"),
        }
    }
}

/// The user of a SIP URI, percent-decoded.
fn user_of(text: &str) -> Option<String> {
    let decoded: Cow<'_, str> = percent_decode_str(text).decode_utf8().ok()?;
    let user: String = decoded
        .chars()
        .map(spelling::ascii)
        .collect::<Option<_>>()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()+".contains(c);
    ((1..=64).contains(&user.len()) && user.chars().all(plain)).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_handed_to_a_number_or_a_user() {
        for (text, shown) in [
            ("+49 30 123456", "tel:+4930123456"),
            ("tel:+4930123456", "tel:+4930123456"),
            (
                "sip:desk-1@pbx.example.org:5070",
                "sip:desk-1@pbx.example.org:5070",
            ),
            (
                "SIP:%2B4930123456@pbx.example.org;user=phone",
                "sip:+4930123456@pbx.example.org",
            ),
            (
                "sip:\u{FF0B}４９30@pbx.example.org",
                "sip:+4930@pbx.example.org",
            ),
        ] {
            assert_eq!(text.parse::<TransferTarget>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "030 123456",
            "sip:pbx.example.org",
            "sips:a@b",
            "sip:a@b;transport=udp",
            "sip:a b@c",
            "sip:a?Replaces=x@c",
            "sip:a@c?Replaces=x",
            "sip:a@c;user=phone?Replaces=x",
            "sip:a@b@c",
            "sip:a:secret@c",
            "sip:tel:+4930123456@c",
            "sip:+4930123456;ext=1@c",
            "sip:a%0d%0aVia:x@c",
            "sip:a%00@c",
            "sip:a%ff@c",
            "sip:@c",
        ] {
            assert!(wrong.parse::<TransferTarget>().is_err(), "{wrong}");
        }
    }
}
