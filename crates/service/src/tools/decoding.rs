//! Decoded variants of a text: percent-encoding, JSON escapes and line wraps are undone, also nested within each
//! other, and each byte keeps its offset in the original text.

use std::collections::VecDeque;

/// Maximum number of variants of a text.
const MAX_VARIANTS: usize = 12;
/// Maximum nesting of encodings.
const MAX_DEPTH: usize = 3;

/// A variant of a text.
pub struct Variant {
    /// The decoded bytes.
    pub bytes: Vec<u8>,
    /// Offset in the text of each byte; empty for the text itself.
    origins: Vec<u32>,
    end: usize,
    depth: usize,
}

impl Variant {
    /// Offset in the text of the byte at `at`; the end of the text if `at` is past the last byte.
    pub fn origin(&self, at: usize) -> usize {
        match self.origins.is_empty() {
            true => at.min(self.end),
            false => self.origins.get(at).map_or(self.end, |at| *at as usize),
        }
    }

    /// Decodes this variant further. `step` returns how many bytes it consumes and their decoded bytes, or `None` if
    /// the next byte is literal. Returns `None` if nothing was decoded; `mark` is the byte that every encoded
    /// sequence contains.
    fn decode(&self, mark: u8, step: impl Fn(&[u8]) -> Option<(usize, Vec<u8>)>) -> Option<Self> {
        if !self.bytes.contains(&mark) {
            return None;
        }
        let mut variant = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            origins: Vec::with_capacity(self.bytes.len()),
            end: self.end,
            depth: self.depth + 1,
        };
        let (mut at, mut is_changed) = (0, false);
        while let Some(first) = self.bytes.get(at) {
            let origin = u32::try_from(self.origin(at)).unwrap_or(u32::MAX);
            if let Some((consumed, decoded)) = step(&self.bytes[at..]) {
                is_changed = true;
                variant.bytes.extend(decoded);
                at += consumed;
            } else {
                variant.bytes.push(*first);
                at += 1;
            }
            variant.origins.resize(variant.bytes.len(), origin);
        }
        is_changed.then_some(variant)
    }
}

/// Returns the text and its decoded variants.
pub fn variants(text: &[u8]) -> Vec<Variant> {
    let mut queue = VecDeque::from([Variant {
        bytes: text.to_vec(),
        origins: Vec::new(),
        end: text.len(),
        depth: 0,
    }]);
    let mut variants = Vec::new();
    while let Some(variant) = queue.pop_front() {
        if variant.depth < MAX_DEPTH {
            queue.extend(variant.decode(b'\\', json));
            queue.extend(variant.decode(b'%', percent));
            queue.extend(variant.decode(b'+', plus));
            queue.extend(variant.decode(b'\n', line_end));
        }
        variants.push(variant);
        if variants.len() == MAX_VARIANTS {
            break;
        }
    }
    variants
}

fn percent(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let digits = bytes.strip_prefix(b"%")?.get(..2)?;
    Some((3, vec![u8::try_from(hexadecimal(digits)?).ok()?]))
}

fn plus(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    bytes.starts_with(b"+").then(|| (1, vec![b' ']))
}

fn line_end(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    matches!(bytes.first(), Some(b'\r' | b'\n')).then(|| (1, Vec::new()))
}

fn json(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let rest = bytes.strip_prefix(b"\\")?;
    let decoded = match rest.first()? {
        b'u' => return unicode(bytes),
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        other @ (b'"' | b'\\' | b'/') => *other,
        _ => return None,
    };
    Some((2, vec![decoded]))
}

/// `\uXXXX`, or a surrogate pair of them.
fn unicode(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let unit = |at: usize| {
        let digits = bytes.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
        u16::try_from(hexadecimal(digits)?).ok()
    };
    let first = unit(0)?;
    let units: Vec<_> = std::iter::once(first).chain(unit(6)).collect();
    let character = char::decode_utf16(units).next()?.ok()?;
    let consumed = 6 * character.len_utf16();
    Some((consumed, character.to_string().into_bytes()))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let add = |sum: u32, next: &u8| Some(sum * 16 + digit(next)?);
    digits.iter().try_fold(0, add)
}
