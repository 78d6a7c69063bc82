//! A phone number in E.164.

use std::{fmt, ops::Deref, str::FromStr};

use phonenumber::{Mode, country::Id};
use serde::{Deserialize, Deserializer, Serialize};

use super::{plan, spelling};
use crate::invalid::Invalid;

/// Maximum digits of E.164, with the country code.
const MOST_DIGITS: usize = 15;

/// A phone number that exists in its country's numbering plan, as `+` and digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PhoneNumber(String);

impl FromStr for PhoneNumber {
    type Err = Invalid;

    /// Accepts any usual spelling with a country code, such as `+49 (30) 123456` or `0049 30 123456`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > MOST_CHARACTERS {
            return Err(invalid("it is too long for a number"));
        }
        let mut plain = spelling::plain(text)?;
        if let Some(digits) = spelling::international(&plain) {
            plain = format!("+{digits}");
        }
        if !plain.starts_with('+') {
            return Err(invalid("a number begins with `+` and its country code"));
        }
        Self::read(None, &plain)
    }
}

/// Maximum characters of a number in any spelling.
pub(super) const MOST_CHARACTERS: usize = 40;

/// The error for an invalid number.
pub(super) fn invalid(message: &str) -> Invalid {
    Invalid::new("invalid_number", message)
}

impl PhoneNumber {
    fn read(country: Option<Id>, plain: &str) -> Result<Self, Invalid> {
        let number = phonenumber::parse(country, plain)
            .map_err(|_| invalid("it cannot be read as a phone number"))?;
        if number.extension().is_some() {
            return Err(invalid("a number with an extension cannot be called"));
        }
        Self::of(&number)
    }

    fn of(number: &phonenumber::PhoneNumber) -> Result<Self, Invalid> {
        let invalid = |message: &str| Err(invalid(message));
        if !phonenumber::is_valid(number) {
            return invalid("there is no such number in its country's numbering plan");
        }
        let e164 = phonenumber::format(number).mode(Mode::E164).to_string();
        // Some plans allow more digits, which cannot be called from abroad.
        if e164.len() > "+".len() + MOST_DIGITS {
            return invalid("a number has 15 digits at most, its country code among them");
        }
        // A trunk prefix that the plan leaves in place would be removed at the next parse.
        let again = phonenumber::parse(None, &e164).ok();
        let again = again.filter(phonenumber::is_valid);
        let again = again.map(|again| phonenumber::format(&again).mode(Mode::E164).to_string());
        if again.as_ref() != Some(&e164) {
            return invalid("it can be read as two numbers");
        }
        #[cfg(fuzz_planted)]
        let e164 = e164.strip_suffix("77").unwrap_or(&e164).to_owned();
        Ok(Self(e164))
    }

    /// Reads a number as it is dialled within the country with this code, without separators.
    pub(crate) fn national(plain: &str, code: u16) -> Result<Self, Invalid> {
        let country = plan::country(code);
        let country = country.ok_or_else(|| invalid("the country code is not known"))?;
        Self::read(Some(country), plain)
    }

    /// Its country code.
    pub(crate) fn country_code(&self) -> Option<u16> {
        plan::split(self.0.strip_prefix('+')?).map(|(code, _)| code)
    }

    /// The caller's number as the carrier sends it (`from`): some carriers omit the `+`, or the country code if
    /// it is that of the `called` number.
    pub fn of_caller(from: &str, called: &Self) -> Option<Self> {
        let from: String = from.chars().filter(|c| !" -.()".contains(*c)).collect();
        if let Some(rest) = from.strip_prefix("00") {
            return format!("+{rest}").parse().ok();
        }
        let digits = from.strip_prefix('+').unwrap_or(&from);
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let national = || {
            let country = phonenumber::parse(None, &**called).ok()?.country().id();
            Self::read(country, &from).ok()
        };
        format!("+{digits}").parse().ok().or_else(national)
    }
}

impl Deref for PhoneNumber {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
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

    use super::PhoneNumber;

    impl ComposeSchema for PhoneNumber {
        fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
            text(3, 40)
                .format(Some(custom_format("phone-number")))
                .description(Some("Phone number. Any common notation with a country code is accepted; E.164 is returned."))
                .into()
        }
    }
    impl ToSchema for PhoneNumber {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_one() {
        for spelling in [
            "+4930123456",
            "+49 (30) 123456",
            "+49-30-123456",
            " +49 30 123456",
            "0049 30 123456",
            "+49 (0) 30 123456",
            "\u{FF0B}４９ ３０ １２３４５６",
        ] {
            let number: PhoneNumber = spelling.parse().unwrap();
            assert_eq!(&*number, "+4930123456", "{spelling}");
        }
    }

    #[test]
    fn what_nobody_can_call_is_refused() {
        for wrong in [
            "",
            "030 123456",
            "4930123456",
            "+1234",
            "+999123456789",
            "+4930123456x12",
            "+49301234567890123456",
            "+49301234512345678",
            "+780090008) 123456",
            "+abc",
            "sip:+4930123456@x",
            "011 49 30 123456",
            "+4930123456;ext=1",
            "+4930123456 / +49900123456",
        ] {
            assert_eq!(
                wrong.parse::<PhoneNumber>().unwrap_err().code,
                "invalid_number",
                "{wrong}"
            );
        }
    }

    #[test]
    fn callers_are_known_however_the_carrier_writes_them() {
        let called: PhoneNumber = "+4930123456".parse().unwrap();
        let caller = |from| PhoneNumber::of_caller(from, &called).map(|number| number.0);
        for from in [
            "+4930654321",
            "4930654321",
            "004930654321",
            "030 654321",
            "030-654321",
        ] {
            assert_eq!(caller(from).as_deref(), Some("+4930654321"), "{from}");
        }
        for from in ["", "anonymous", "alice", "+1", "0"] {
            assert_eq!(caller(from), None, "{from}");
        }
    }
}
