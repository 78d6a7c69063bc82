//! Types and parsers of settings.

use std::{fmt, str::FromStr, time::Duration};

/// A value that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Accepts any value, because clap prints the values that it refuses. `Settings::check` checks them.
impl FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Converts to whole seconds, the unit of LiveKit.
pub fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// Parses a duration such as `250ms`, `15s`, `2m` or `1h`, at most 31 days.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let invalid = || format!("`{text}` is not a duration such as 250ms, 15s, 2m or 1h");
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(invalid()),
    };
    let millis = number.checked_mul(unit).filter(|ms| *ms <= 31 * 86_400_000);
    Ok(Duration::from_millis(millis.ok_or_else(invalid)?))
}

/// Parses named numbers in this order, such as `a=1,b=2,c=3`.
pub fn named_numbers<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], String> {
    let mut parts = text.split(',');
    let mut number = |name: &str| {
        let part = parts.next()?.trim().strip_prefix(name)?;
        part.strip_prefix('=')?.parse().ok()
    };
    let parsed: Option<Vec<u32>> = names.iter().map(|name| number(name)).collect();
    let parsed = parsed.filter(|_| parts.next().is_none());
    let parsed = parsed.and_then(|numbers| numbers.try_into().ok());
    parsed.ok_or_else(|| {
        let names = names.map(|name| format!("{name}=1"));
        format!("the expected format is `{}`", names.join(","))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_with_their_unit() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for invalid in ["", "5", "s", "5 s", "-1s", "99999999h", "1d"] {
            assert!(duration(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secret: Secret = "x".repeat(32).parse().unwrap();
        assert_eq!(format!("{secret:?}"), "(secret)");
    }
}
