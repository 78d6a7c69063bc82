//! The target of an outbound call, normalised before any check.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer};

use super::{
    emergency,
    number::{MOST_CHARACTERS, PhoneNumber, invalid},
    spelling,
    uri::{after_scheme, split_context},
};
use crate::invalid::Invalid;

/// Maximum characters of a `tel:` URI.
const MOST_OF_A_URI: usize = 100;

/// A number to dial: an E.164 number or an emergency number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// A number.
    Number(PhoneNumber),
    /// An emergency number, without separators.
    Emergency(String),
}

impl Dialled {
    /// Reads digits as they are dialled in the country with this code, or without a known country.
    fn read(plain: &str, country: Option<u16>) -> Result<Self, Invalid> {
        if plain.len() > MOST_CHARACTERS {
            return Err(invalid("it is too long for a number"));
        }
        let helps = emergency::is_emergency(plain, country)
            || (country.is_none() && emergency::is_emergency_somewhere(plain));
        if helps {
            // It must be recognised again without the country.
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

    /// Accepts any usual spelling with a country code, and a `tel:` URI (RFC 3966).
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
}
