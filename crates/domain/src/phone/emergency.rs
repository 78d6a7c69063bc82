//! Emergency numbers.
//!
//! `emergency.txt` has the emergency numbers of each country code, from libphonenumber's
//! `ShortNumberMetadata.xml` of release 9.0.33, which the crate `phonenumber` ships and does not compile in. When
//! in doubt a number is refused.

use std::{collections::HashMap, sync::LazyLock};

use super::{plan, spelling::ABROAD};

/// Emergency numbers in every country: those that phones without a SIM card may call (3GPP TS 22.101), and
/// those that many countries share.
const EVERYWHERE: [&str; 15] = [
    "000", "08", "110", "111", "112", "113", "115", "117", "118", "119", "15", "17", "18", "911",
    "999",
];
/// The two that are also recognised behind a digit for the outside line.
const BEHIND_A_PREFIX: [&str; 2] = ["112", "911"];

static OF_COUNTRY: LazyLock<HashMap<u16, Vec<&'static str>>> = LazyLock::new(|| {
    let country = |line: &'static str| {
        let mut words = line.split(' ');
        Some((words.next()?.parse().ok()?, words.collect()))
    };
    include_str!("emergency.txt")
        .lines()
        .filter_map(country)
        .collect()
});

/// Whether `plain` (without separators) is an emergency number when dialled in the country `home`.
pub(crate) fn is_emergency(plain: &str, home: Option<u16>) -> bool {
    if is_known(plain, home) {
        return true;
    }
    if let Some(digits) = plain.strip_prefix('+') {
        return abroad(digits);
    }
    let behind = |prefix: &str| plain.strip_prefix(prefix);
    is_behind_outside_digits(plain)
        || behind("0").is_some_and(|rest| is_known(rest, home))
        || ABROAD.into_iter().filter_map(behind).any(abroad)
        || home
            .is_some_and(|home| behind(&home.to_string()).is_some_and(|rest| is_long(rest, home)))
}

/// Whether it is one of these numbers with digits for an outside line in front.
fn is_behind_outside_digits(plain: &str) -> bool {
    let outside = |digits: &str| digits.len() <= 3 && digits.bytes().all(|b| b"019".contains(&b));
    BEHIND_A_PREFIX
        .into_iter()
        .any(|number| plain.strip_suffix(number).is_some_and(outside))
}

/// The country's own emergency number at the end of digits that are dialled there, if the rest is a prefix.
pub(crate) fn own_number(plain: &str, country: u16) -> Option<&str> {
    let own = OF_COUNTRY.get(&country)?;
    let longest = own.iter().filter(|number| plain.ends_with(**number));
    let length = longest.map(|number| number.len()).max()?;
    plain.get(plain.len() - length..)
}

/// Whether it is an emergency number of any country.
pub(crate) fn is_emergency_somewhere(plain: &str) -> bool {
    is_emergency(plain, None) || OF_COUNTRY.values().any(|known| known.contains(&plain))
}

fn is_known(digits: &str, country: Option<u16>) -> bool {
    let own = country.and_then(|country| OF_COUNTRY.get(&country));
    EVERYWHERE.contains(&digits) || own.is_some_and(|own| own.contains(&digits))
}

/// An emergency number of three digits or more: many ordinary numbers end like a shorter one.
fn is_long(digits: &str, country: u16) -> bool {
    digits.len() > 2 && is_known(digits, Some(country))
}

/// Digits behind `+`: an emergency number behind its country code, also with the national `0` in between.
fn abroad(digits: &str) -> bool {
    if is_known(digits, None) {
        return true;
    }
    plan::split(digits).is_some_and(|(code, national)| {
        let trunk = plan::trunk_prefix(code).unwrap_or("0");
        let without = [trunk, "0"].map(|trunk| national.strip_prefix(trunk));
        let mut all = without.into_iter().flatten().chain([national]);
        all.any(|national| is_known(national, Some(code)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_has_a_line() {
        assert!(OF_COUNTRY.len() > 200);
        assert_eq!(OF_COUNTRY[&49], ["110", "112"]);
        let numbers = OF_COUNTRY.values().flatten();
        assert!(
            numbers
                .into_iter()
                .all(|n| n.bytes().all(|b| b.is_ascii_digit()))
        );
    }

    #[test]
    fn help_is_known_in_every_spelling() {
        for plain in [
            "110",
            "112",
            "911",
            "999",
            "000",
            "118",
            "119",
            "15",
            "17",
            "18",
            "08",
            "0112",
            "9911",
            "1911",
            "9112",
            "+112",
            "+49112",
            "+490112",
            "+1911",
            "0049112",
            "01149112",
            "001161000",
            "+3315",
            "+61000",
            "+11911",
            "000112",
            "99911",
            "+3606112",
        ] {
            assert!(is_emergency(plain, None), "{plain}");
        }
        for (plain, home) in [
            ("100", 91),
            ("100", 32),
            ("144", 41),
            ("190", 55),
            ("49112", 49),
        ] {
            assert!(is_emergency(plain, Some(home)), "{plain}");
            assert!(!is_emergency(plain, None), "{plain}");
        }
        for plain in ["100", "190", "106"] {
            assert!(is_emergency_somewhere(plain), "{plain}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_none() {
        for plain in [
            "100",
            "1120",
            "2911",
            "+4930112112",
            "+4911212345",
            "+19115550123",
            "+12025550911",
            "0301121",
            "30112",
            "+4930123456",
        ] {
            assert!(!is_emergency(plain, Some(49)), "{plain}");
        }
        for plain in ["4915", "1234", "22000"] {
            assert!(!is_emergency_somewhere(plain), "{plain}");
        }
    }
}
