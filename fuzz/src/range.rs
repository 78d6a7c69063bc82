//! The header `Range`.

use patchbay_domain::byte_range::parse;

/// The size of a file, and the header.
pub fn target(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk::<3>() else {
        return;
    };
    let [low, high, shift] = *size;
    let size = u64::from(u16::from_le_bytes([low, high])).rotate_right(u32::from(shift));
    // Headers have no other characters than these.
    let header: String = header.iter().map(|byte| char::from(byte & 0x7f)).collect();
    for header in [format!("bytes={header}"), header] {
        let found = parse(&header, size);
        if let Ok(Some((from, length))) = found {
            assert!(length > 0, "{header} of {size}: nothing");
            let end = from.checked_add(length).expect("ends somewhere");
            assert!(end <= size, "{header} of {size}: {from} and {length} more");
        }
        let expected = expected(&header, u128::from(size));
        let found = found.map(|range| range.map(|(from, length)| (from.into(), length.into())));
        assert_eq!(found.map_err(|_| ()), expected, "{header} of {size}");
    }
}

type Range = Option<(u128, u128)>;

/// The same, step by step and with larger numbers.
fn expected(header: &str, size: u128) -> Result<Range, ()> {
    let header = header.to_ascii_lowercase();
    let Some(range) = header.strip_prefix("bytes=") else {
        return Ok(None);
    };
    let sides: Vec<_> = range.split('-').collect();
    let [first, last] = sides[..] else {
        return Ok(None);
    };
    if range.contains(|c: char| c != '-' && !c.is_ascii_digit()) || range == "-" {
        return Ok(None);
    }
    let number = |text: &str| -> u128 {
        let digits = text.trim_start_matches('0');
        let digits = &digits[..digits.len().min(30)];
        digits.parse().unwrap_or(0).min(u64::MAX.into())
    };
    let wanted: Vec<u128> = match (first, last) {
        ("", count) => vec![size.saturating_sub(number(count)), size],
        (from, "") => vec![number(from), size],
        (from, to) if number(from) > number(to) => return Ok(None),
        (from, to) => vec![number(from), size.min(number(to) + 1)],
    };
    match wanted[..] {
        [from, end] if from < size && from < end => Ok(Some((from, end - from))),
        _ => Err(()),
    }
}
