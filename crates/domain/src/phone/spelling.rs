//! Spelling of numbers: separators, digits of other scripts, prefixes for international calls.

use crate::invalid::Invalid;

/// The zeros of scripts whose ten digits are consecutive code points and that are used for phone numbers.
const ZEROS: [char; 18] = [
    '\u{660}', '\u{6F0}', '\u{7C0}', '\u{966}', '\u{9E6}', '\u{A66}', '\u{AE6}', '\u{B66}',
    '\u{BE6}', '\u{C66}', '\u{CE6}', '\u{D66}', '\u{E50}', '\u{ED0}', '\u{F20}', '\u{1040}',
    '\u{17E0}', '\u{FF10}',
];

/// Separators between digits, which are ignored.
const SEPARATORS: &str = " -.()/~[]\u{A0}\u{AD}\u{200B}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\
    \u{2015}\u{202F}\u{2060}\u{2212}\u{3000}\u{FF08}\u{FF09}\u{FF0D}\u{FF0E}\u{FF0F}";

/// The ASCII form of a character of a number, if it has one.
pub(crate) fn ascii(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c);
    }
    if c == '\u{FF0B}' {
        return Some('+');
    }
    let value = |zero: &char| u32::from(c).checked_sub(u32::from(*zero));
    let digit = ZEROS.iter().filter_map(value).find(|value| *value < 10)?;
    char::from_digit(digit, 10)
}

/// Removes the separators: the result may have a leading `+`, digits, and letters.
pub(crate) fn plain(text: &str) -> Result<String, Invalid> {
    let mut plain = String::with_capacity(text.len());
    for c in text.trim_matches(' ').chars() {
        if SEPARATORS.contains(c) {
            continue;
        }
        match ascii(c) {
            Some(c) if c.is_ascii_alphanumeric() || (c == '+' && plain.is_empty()) => plain.push(c),
            _ if crate::text::is_unprintable(c) => {
                let message = "control characters are not allowed in a number";
                return Err(Invalid::new("control_character", message));
            }
            _ => {
                let message = format!("`{c}` is no part of a number");
                return Err(Invalid::new("invalid_number", message));
            }
        }
    }
    Ok(plain)
}

/// The digits behind `+`, or behind `00`, the international prefix of most countries.
pub(crate) fn international(plain: &str) -> Option<&str> {
    let digits = plain
        .strip_prefix('+')
        .or_else(|| plain.strip_prefix("00"))?;
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all.then_some(digits)
}

/// International prefixes with which a number without `+` may begin.
pub(crate) const ABROAD: [&str; 5] = ["0011", "011", "010", "810", "00"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_and_scripts_mean_nothing() {
        for text in [
            "+49 30-123.456",
            "\u{FF0B}４９ (30) 123456",
            "+٤٩٣٠١٢٣٤٥٦",
            "+४९ ३० १२३४५६",
            "+49/30/123\u{2011}456",
        ] {
            assert_eq!(plain(text).as_deref(), Ok("+4930123456"), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, code) in [
            ("+49;30", "invalid_number"),
            ("49+30", "invalid_number"),
            ("*31#30", "invalid_number"),
            ("+4930\r\nVia: x", "control_character"),
            ("+49\u{0}30", "control_character"),
            ("\u{202E}+4930", "control_character"),
            ("+49\u{85}30", "control_character"),
        ] {
            assert_eq!(plain(text).unwrap_err().code, code, "{text:?}");
        }
    }
}
