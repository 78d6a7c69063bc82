//! What a text may stand for: percent-encoding, the escapes of JSON and wrapped lines undone, one within the
//! other, with where each byte comes from.

use std::collections::VecDeque;

/// Most layers of a text that are looked into.
const MOST_LAYERS: usize = 12;
/// Most encodings within one another.
const MOST_DEPTH: usize = 3;

/// A text as something would read it.
pub struct Layer {
    /// What it reads.
    pub bytes: Vec<u8>,
    /// Where in the text each byte begins; empty where nothing was undone.
    origins: Vec<u32>,
    end: usize,
    depth: usize,
}

impl Layer {
    /// Where in the text the byte begins; its end where there are not so many.
    pub fn origin(&self, at: usize) -> usize {
        match self.origins.is_empty() {
            true => at.min(self.end),
            false => self.origins.get(at).map_or(self.end, |at| *at as usize),
        }
    }

    /// Another reading of this one. Each step answers how many bytes it takes, and what they read; none where
    /// they read as they are.
    fn read(&self, mark: u8, step: impl Fn(&[u8]) -> Option<(usize, Vec<u8>)>) -> Option<Self> {
        if !self.bytes.contains(&mark) {
            return None;
        }
        let mut layer = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            origins: Vec::with_capacity(self.bytes.len()),
            end: self.end,
            depth: self.depth + 1,
        };
        let (mut at, mut is_changed) = (0, false);
        while let Some(first) = self.bytes.get(at) {
            let origin = u32::try_from(self.origin(at)).unwrap_or(u32::MAX);
            if let Some((taken, read)) = step(&self.bytes[at..]) {
                is_changed = true;
                layer.bytes.extend(read);
                at += taken;
            } else {
                layer.bytes.push(*first);
                at += 1;
            }
            layer.origins.resize(layer.bytes.len(), origin);
        }
        is_changed.then_some(layer)
    }
}

/// The text, and what it may stand for.
pub fn layers(text: &[u8]) -> Vec<Layer> {
    let mut waiting = VecDeque::from([Layer {
        bytes: text.to_vec(),
        origins: Vec::new(),
        end: text.len(),
        depth: 0,
    }]);
    let mut layers = Vec::new();
    while let Some(layer) = waiting.pop_front() {
        if layer.depth < MOST_DEPTH {
            waiting.extend(layer.read(b'\\', json));
            waiting.extend(layer.read(b'%', percent));
            waiting.extend(layer.read(b'+', plus));
            waiting.extend(layer.read(b'\n', line_end));
        }
        layers.push(layer);
        if layers.len() == MOST_LAYERS {
            break;
        }
    }
    layers
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
    let read = match rest.first()? {
        b'u' => return unicode(bytes),
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        other @ (b'"' | b'\\' | b'/') => *other,
        _ => return None,
    };
    Some((2, vec![read]))
}

/// `\uXXXX`, or two of them that are one character.
fn unicode(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let unit = |at: usize| {
        let digits = bytes.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
        u16::try_from(hexadecimal(digits)?).ok()
    };
    let first = unit(0)?;
    let units: Vec<_> = std::iter::once(first).chain(unit(6)).collect();
    let character = char::decode_utf16(units).next()?.ok()?;
    let taken = 6 * character.len_utf16();
    Some((taken, character.to_string().into_bytes()))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let add = |sum: u32, next: &u8| Some(sum * 16 + digit(next)?);
    digits.iter().try_fold(0, add)
}
