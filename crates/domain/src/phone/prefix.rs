//! Prefixes of numbers that an operator allows and denies.

use super::{plan, spelling};

/// Normalises a prefix as numbers are: `+` and 1 to 15 digits, without separators, without `00` or `011` in front
/// of the country code and without the national `0` behind it. None if it is no prefix of a number.
pub fn normalise(text: &str) -> Option<String> {
    let plain = spelling::plain(text).ok()?;
    let abroad = || plain.strip_prefix("011");
    let digits = spelling::international(&plain).or_else(abroad)?;
    let all = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if !all || digits.starts_with('0') {
        return None;
    }
    let digits = without_trunk_prefix(digits).unwrap_or_else(|| digits.to_owned());
    Some(format!("+{digits}"))
}

/// Digits behind `+` without the national trunk prefix, even if only a part of it is there; none if nothing of it
/// is there, or if numbers begin like it.
fn without_trunk_prefix(digits: &str) -> Option<String> {
    let (code, national) = plan::split(digits)?;
    let trunk = plan::trunk_prefix(code)?;
    let is_part = !national.is_empty() && trunk.starts_with(national);
    let no_number = trunk.starts_with('0') || code == 1;
    match no_number {
        true if is_part => Some(code.to_string()),
        true => plan::without_trunk_prefix(digits),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_one_spelling() {
        for (text, prefix) in [
            ("+49", "+49"),
            ("0049", "+49"),
            ("01149", "+49"),
            ("+49 900", "+49900"),
            ("+49 (0)900", "+49900"),
            ("+49 (0)", "+49"),
            ("+36 06 1", "+361"),
            ("+36 0", "+36"),
            ("+1 1 900", "+1900"),
            ("+7 812", "+7812"),
            ("00 49-900", "+49900"),
            ("\u{FF0B}４９", "+49"),
            ("+1900", "+1900"),
            ("+39 06", "+3906"),
            ("+8", "+8"),
        ] {
            assert_eq!(normalise(text).as_deref(), Some(prefix), "{text}");
        }
    }

    #[test]
    fn what_begins_no_number_is_none() {
        for text in [
            "",
            "+",
            "49",
            "0900",
            "+4a",
            "+0",
            "+49\n",
            "00",
            "+1234567890123456",
        ] {
            assert_eq!(normalise(text), None, "{text:?}");
        }
    }
}
