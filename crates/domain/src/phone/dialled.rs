//! What somebody asks a telephone to dial, read before anything is decided by it.

use std::{borrow::Cow, fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer};

use super::{
    emergency,
    number::{MOST_CHARACTERS, PhoneNumber, invalid},
    plan, spelling,
};
use crate::{invalid::Invalid, sip::SipAddress};

/// Most characters of a `tel:` URI.
const MOST_OF_A_URI: usize = 100;

/// Somebody to be called: a number in the world's plan, or one that calls for help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// A number.
    Number(PhoneNumber),
    /// An emergency number, without separators.
    Emergency(String),
}

impl Dialled {
    /// Digits as they are dialled in the country of this code, or nobody knows where.
    fn read(plain: &str, country: Option<u16>) -> Result<Self, Invalid> {
        if plain.len() > MOST_CHARACTERS {
            return Err(invalid("it is too long for a number"));
        }
        let helps = emergency::is_emergency(plain, country)
            || (country.is_none() && emergency::is_emergency_somewhere(plain));
        if helps {
            // It must be known again without the country.
            let short = country.and_then(|country| emergency::own_number(plain, country));
            return Ok(Self::Emergency(short.unwrap_or(plain).to_owned()));
        }
        match country.filter(|_| spelling::international(plain).is_none()) {
            Some(country) => PhoneNumber::national(plain, country).map(Self::Number),
            None => plain.parse().map(Self::Number),
        }
    }
}

impl FromStr for Dialled {
    type Err = Invalid;

    /// Takes any usual spelling with a country code, and a `tel:` URI (RFC 3966).
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > MOST_OF_A_URI {
            return Err(invalid("it is too long for a number"));
        }
        let Some(rest) = after_scheme(text, "tel:") else {
            return Self::read(&spelling::plain(text)?, None);
        };
        let (number, country) = split_context(rest)?;
        let decoded = percent_decode_str(number).decode_utf8();
        let decoded = decoded.map_err(|_| invalid("it is not UTF-8"))?;
        Self::read(&spelling::plain(&decoded)?, country)
    }
}

impl fmt::Display for Dialled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(number) => number,
            Self::Emergency(plain) => plain,
        })
    }
}

impl<'de> Deserialize<'de> for Dialled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whom a call is handed over to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferTarget {
    /// A number.
    Number(Dialled),
    /// A user of a SIP server.
    Sip {
        /// The user, who may be a number.
        user: String,
        /// The country code that the user was said to be a number in.
        country: Option<u16>,
        /// The server.
        address: SipAddress,
    },
}

/// A SIP user whose name is digits, as the server may dial it.
pub(crate) struct Digits<'a> {
    /// Perhaps `+`, and digits.
    plain: String,
    /// Whether anything but the usual separators stands between them.
    is_clean: bool,
    /// The country that it is dialled in.
    country: Option<u16>,
    user: &'a str,
}

impl TransferTarget {
    /// The digits of a SIP user; none where it is a name. `home` is the number of ours on the call.
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
    /// Whether it calls for help.
    pub(crate) fn is_emergency(&self) -> bool {
        emergency::is_emergency(&self.plain, self.country)
    }

    /// What it is with `+` and a country code, and what else it may be taken for; the first is what is to
    /// be dialled. Empty where nobody can tell.
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
        // The plans that are compiled in do not know every number in service.
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
        // Numbers are known by their form: whether they are said to be some makes no difference.
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

/// What is behind the scheme of a URI.
fn after_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let text = text.trim_matches(' ');
    let begins = text.get(..scheme.len())?.eq_ignore_ascii_case(scheme);
    begins.then(|| &text[scheme.len()..])
}

/// A number of a URI, and the country code of its `phone-context`. Extensions and all other parameters
/// are refused: nobody would dial them.
fn split_context(text: &str) -> Result<(&str, Option<u16>), Invalid> {
    let mut parts = text.split(';');
    let number = parts.next().unwrap_or_default();
    let mut country = None;
    for part in parts {
        let context = after_scheme(part, "phone-context=");
        let context =
            context.ok_or_else(|| invalid("it has a parameter that cannot be dialled"))?;
        let digits = context.strip_prefix('+').or(context.strip_prefix("%2B"));
        let code = digits.and_then(plan::split);
        match code {
            Some((code, "")) if country.is_none() => country = Some(code),
            _ => return Err(invalid("its `phone-context` is no country code")),
        }
    }
    Ok((number, country))
}

/// A SIP user, with what is percent-encoded in it decoded.
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

    fn dialled(text: &str) -> String {
        match text.parse::<Dialled>() {
            Ok(Dialled::Number(number)) => number.to_string(),
            Ok(Dialled::Emergency(plain)) => format!("emergency {plain}"),
            Err(invalid) => invalid.code,
        }
    }

    #[test]
    fn a_number_is_read_in_every_spelling() {
        for text in [
            "+4930123456",
            "0049 30 123456",
            "\u{FF0B}４９ (0)30 123456",
            "tel:+49-30-123456",
            "TEL:%2B49-30-123456",
            "tel:030-123456;phone-context=+49",
            "tel:0049-30-123456;phone-context=+1",
            "tel:01149-30-123456;phone-context=%2B1",
        ] {
            assert_eq!(dialled(text), "+4930123456", "{text}");
        }
    }

    #[test]
    fn help_is_told_from_numbers() {
        for text in [
            "112",
            "1-1-2",
            "１１２",
            "100",
            "+49 112",
            "+49 (0)112",
            "0049112",
            "01149112",
            "+1911",
            "9911",
            "tel:911",
            "tel:911;phone-context=+1",
            "tel:%39%31%31",
            "tel:144;phone-context=+41",
            "tel:0144;phone-context=+41",
            "tel:41144;phone-context=+41",
            "tel:0041144;phone-context=+41",
            "+1 1 911",
        ] {
            let once = dialled(text);
            let stored = once.strip_prefix("emergency ");
            let stored = stored.unwrap_or_else(|| panic!("{text}: {once}"));
            assert_eq!(dialled(stored), once, "{text} is known again");
        }
    }

    #[test]
    fn what_is_no_number_of_the_world_is_refused() {
        for text in [
            "",
            "030 123456",
            "22000",
            "acme",
            "sip:+4930123456@example.org",
            "tel:030123456",
            "tel:030123456;phone-context=example.org",
            "tel:123456;phone-context=+4930",
            "tel:+4930123456;ext=12",
            "tel:+4930123456;isub=1",
            "tel:tel:+4930123456",
            "urn:service:sos",
            "+4930123456x12",
        ] {
            assert_eq!(dialled(text), "invalid_number", "{text}");
        }
        assert_eq!(dialled("+4930123456\r\nX: y"), "control_character");
        assert_eq!(dialled("tel:+4930123456%0d%0aX"), "control_character");
    }

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
