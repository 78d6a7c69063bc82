//! The HTTP header `Range` (RFC 9110, section 14).

/// The range begins behind the end of the file, or is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsatisfiable;

/// The first byte and the number of bytes that the header `Range` requests. None if it has another unit, several
/// ranges or a wrong format: HTTP allows to ignore such a header.
pub fn parse(header: &str, size: u64) -> Result<Option<(u64, u64)>, Unsatisfiable> {
    let range = header
        .split_once('=')
        .filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"))
        .and_then(|(_, range)| range.split_once('-'));
    let Some((first, last)) = range else {
        return Ok(None);
    };
    let end = size.saturating_sub(1);
    let (from, to) = match (position(first), position(last)) {
        #[cfg(fuzz_planted)]
        (Some(from), Some(to)) if from == end && to > end => (from, size),
        (Some(from), Some(to)) if from <= to => (from, to.min(end)),
        (Some(from), None) if last.is_empty() => (from, end),
        (None, Some(0)) if first.is_empty() => return Err(Unsatisfiable),
        (None, Some(count)) if first.is_empty() => (size.saturating_sub(count), end),
        _ => return Ok(None),
    };
    if from >= size {
        return Err(Unsatisfiable);
    }
    Ok(Some((from, to - from + 1)))
}

/// Digits only; a number that does not fit saturates, as it is behind the end of every file.
fn position(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (header, expected) in [
            ("bytes=0-9", Some((0, 10))),
            ("Bytes=0-9", Some((0, 10))),
            ("bytes=90-", Some((90, 10))),
            ("bytes=90-500", Some((90, 10))),
            ("bytes=90-99999999999999999999999", Some((90, 10))),
            ("bytes=-5", Some((95, 5))),
            ("bytes=-500", Some((0, 100))),
            ("bytes=-99999999999999999999999", Some((0, 100))),
            ("bytes=5-4", None),
            ("bytes=0-1,5-6", None),
            ("bytes=+0-+9", None),
            ("bytes=0 - 9", None),
            ("bytes=-", None),
            ("bytes=--5", None),
            ("lines=0-1", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(parse(header, 100).unwrap(), expected, "{header}");
        }
        for (header, size) in [
            ("bytes=100-", 100),
            ("bytes=99999999999999999999999-", 100),
            ("bytes=0-", 0),
            ("bytes=-5", 0),
            ("bytes=-0", 100),
        ] {
            assert!(parse(header, size).is_err(), "{header} of {size}");
        }
    }
}
