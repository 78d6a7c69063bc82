//! Masking of secrets in tool responses: a tool that echoes its request must not disclose secrets to the model.

use std::{borrow::Cow, collections::BTreeMap};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use patchbay_domain::Invalid;
use serde_json::Value;

use super::decoding;

/// Replacement for a secret in a response.
const MASK: &str = "[secret]";
/// Minimum length of a base64 form. Shorter ones would match texts that do not contain the secret.
const MIN_FORM_LENGTH: usize = 4;
/// Forms are found by a prefix of this length, so that the automaton stays small however long a secret is.
const PREFIX_LENGTH: usize = 64;

/// Opened secrets by name, with a finder for the forms in which a response may contain them.
pub struct Secrets {
    values: BTreeMap<String, String>,
    /// `None` if there are no secrets.
    finder: Option<Finder>,
}

struct Finder {
    prefixes: AhoCorasick,
    forms: Vec<Vec<u8>>,
}

impl Secrets {
    /// Builds the finder for these secrets.
    pub fn new(values: BTreeMap<String, String>) -> Result<Self, Invalid> {
        let mut forms: Vec<_> = values
            .values()
            .flat_map(|secret| forms_of(secret))
            .collect();
        forms.retain(|form| !form.is_empty());
        forms.sort();
        forms.dedup();
        let finder = match forms.is_empty() {
            true => None,
            false => Some(Finder::new(forms)?),
        };
        Ok(Self { values, finder })
    }

    /// The secrets by name.
    pub const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// Masks secrets in a response body.
    pub fn mask(&self, body: Bytes) -> Bytes {
        match self.find_and_mask(&body) {
            None => body,
            Some(masked) => masked.into(),
        }
    }

    /// Masks secrets in an error message, which may come from the tool.
    pub fn mask_error(&self, mut error: Invalid) -> Invalid {
        if let Cow::Owned(masked) = self.mask_text(&error.message) {
            error.message = masked;
        }
        error
    }

    /// Masks secrets in the strings, numbers and field names of a result.
    pub fn mask_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.mask_text(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_value(item)),
            Value::Object(fields) => {
                let names: Vec<_> = fields.keys().cloned().collect();
                for name in names {
                    if let Cow::Owned(masked) = self.mask_text(&name)
                        && let Some(value) = fields.remove(&name)
                    {
                        fields.insert(masked, value);
                    }
                }
                fields.values_mut().for_each(|value| self.mask_value(value));
            }
            Value::Number(number) => {
                if let Cow::Owned(masked) = self.mask_text(&number.to_string()) {
                    *value = masked.into();
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn mask_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.find_and_mask(text.as_bytes()) {
            None => Cow::Borrowed(text),
            Some(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
        }
    }

    /// Returns the masked text, or `None` if it contains no secret.
    fn find_and_mask(&self, text: &[u8]) -> Option<Vec<u8>> {
        let finder = self.finder.as_ref()?;
        // Number of matches that begin at each byte, minus those that end there.
        let mut bounds = vec![0_i32; text.len() + 1];
        let mut is_found = false;
        for variant in decoding::variants(text) {
            finder.find(&variant.bytes, |start, end| {
                bounds[variant.origin(start)] += 1;
                bounds[variant.origin(end)] -= 1;
                is_found = true;
            });
        }
        is_found.then(|| replace_matches(text, &bounds))
    }
}

impl Finder {
    fn new(forms: Vec<Vec<u8>>) -> Result<Self, Invalid> {
        let prefixes = forms
            .iter()
            .map(|form| &form[..form.len().min(PREFIX_LENGTH)]);
        let prefixes = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            // Hexadecimal digits come in both cases.
            .ascii_case_insensitive(true)
            .build(prefixes)
            .map_err(|_| Invalid::new("secrets_too_many", "the secrets cannot be masked"))?;
        Ok(Self { prefixes, forms })
    }

    /// Reports start and end of each match: the longest part of a form that is present, if it has at least the
    /// prefix.
    fn find(&self, bytes: &[u8], mut report: impl FnMut(usize, usize)) {
        // Where the last match of each form ended, so that a text of its repetitions is scanned only once.
        let mut followed = vec![0; self.forms.len()];
        for found in self.prefixes.find_overlapping_iter(bytes) {
            let (form, start) = (found.pattern().as_usize(), found.start());
            let mut end = found.end().max(followed[form]);
            let matches_at = |end: usize| {
                let both = self.forms[form].get(end - start).zip(bytes.get(end));
                both.is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
            };
            while matches_at(end) {
                end += 1;
            }
            followed[form] = end;
            report(start, end);
        }
    }
}

/// Replaces all matches, adjoining ones by one mask.
fn replace_matches(text: &[u8], bounds: &[i32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut open = 0;
    for (byte, bound) in text.iter().zip(bounds) {
        let was_open = open > 0;
        open += bound;
        match open > 0 {
            false => out.push(*byte),
            true if !was_open => out.extend_from_slice(MASK.as_bytes()),
            true => {}
        }
    }
    out
}

/// The forms of a secret: literal, hexadecimal, and base64 in either alphabet, alone or within a longer text.
/// Other encodings are undone by [`decoding`].
fn forms_of(secret: &str) -> Vec<Vec<u8>> {
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.as_bytes().to_vec(), hexadecimal.into_bytes()];
    forms.extend((0..3).flat_map(|offset| base64_forms(secret, offset)));
    forms
}

/// The base64 characters that depend on the secret alone, if it begins at this offset in a group of three bytes.
fn base64_forms(secret: &str, offset: usize) -> Vec<Vec<u8>> {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(secret.as_bytes());
    let (first, last) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    let secret_part = |encoded: String| encoded.as_bytes().get(first..last).map(<[u8]>::to_vec);
    let both = [
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
    ];
    let mut forms: Vec<_> = both.into_iter().filter_map(secret_part).collect();
    forms.retain(|form| form.len() >= MIN_FORM_LENGTH);
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn secrets(secret: &str) -> Secrets {
        Secrets::new(BTreeMap::from([("S".to_owned(), secret.to_owned())])).unwrap()
    }

    fn masked(secrets: &Secrets, text: &str) -> String {
        String::from_utf8(secrets.mask(text.to_owned().into()).to_vec()).unwrap()
    }

    #[test]
    fn a_secret_is_masked_in_every_encoding() {
        let secret = secrets("a\"b/c d\\");
        for text in [
            r#"it is a"b/c d\"#,
            r#"{"t": "Bearer a\"b/c d\\"}"#,
            r#"{"t": "a\"b\/c d\\"}"#,
            "/x?y=a%22b%2Fc%20d%5C",
            "/x?y=a%22b%2fc%20d%5c",
            "y=a%22b%2Fc+d%5C",
            "%61%22%62%2f%63%20%64%5c",
            "6122622f6320645c",
            "6122622F6320645C",
        ] {
            let text = masked(&secret, text);
            assert!(text.contains(MASK), "{text}");
            assert!(!text.contains("b/c") && !text.contains("%2Fc"), "{text}");
        }
        let strict = secrets("a-b*c.d~");
        for text in ["/x?y=a-b*c.d%7E", "/x?y=a%2db%2Ac%2Ed%7e", "/x?y=a-b*c.d~"] {
            assert_eq!(masked(&strict, text), "/x?y=[secret]");
        }
        let other = Bytes::from_static(b"nothing of it");
        assert_eq!(secret.mask(other.clone()), other);
    }

    #[test]
    fn encodings_of_programming_languages_are_masked() {
        for (secret, texts) in [
            (
                "tok~abc/def+g==",
                &[
                    // Patchbay's own URLs, `encodeURIComponent`, Python's `quote`, and double encoding.
                    "/echo/tok~abc%2Fdef%2Bg%3D%3D",
                    "/echo/tok~abc/def%2Bg%3D%3D",
                    "tok%257Eabc%252Fdef%252Bg%253D%253D",
                ][..],
            ),
            (
                "p@ss!w(or)d'*",
                &["/x?p%40ss!w(or)d'*", "/x?p%40ss%21w%28or%29d%27%2A"],
            ),
            (
                "a&b<c>\u{e9}\u{1f600}\"q\\",
                &[
                    r#"{"t":"a\u0026b\u003cc\u003e\u00e9\ud83d\ude00\"q\\"}"#,
                    r#"{"t":"{\"t\":\"a&b<c>é😀\\\"q\\\\\"}"}"#,
                ],
            ),
        ] {
            let secret = secrets(secret);
            for text in texts {
                let masked = masked(&secret, text);
                assert!(masked.contains(MASK), "{text}: {masked}");
                assert!(
                    !masked.contains("ab") && !masked.contains("ss"),
                    "{text}: {masked}"
                );
            }
        }
        let long = "0123456789abcdef".repeat(8);
        let secret = secrets(&long);
        let wrapped = STANDARD.encode(format!("user:{long}"));
        let wrapped = format!("{}\r\n{}", &wrapped[..76], &wrapped[76..]);
        let text = masked(&secret, &wrapped);
        assert!(text.len() < 30, "{text}");
    }

    #[test]
    fn overlapping_secrets_are_masked_as_one() {
        let both = BTreeMap::from([
            ("A".to_owned(), "s3cret-of-a".to_owned()),
            ("B".to_owned(), "xs3c".to_owned()),
        ]);
        let both = Secrets::new(both).unwrap();
        assert_eq!(
            masked(&both, "a: xs3cret-of-a; b: xs3c."),
            "a: [secret]; b: [secret]."
        );
        let long = secrets(&"long".repeat(2_000));
        let text = format!("<{}>", "long".repeat(2_000));
        assert_eq!(masked(&long, &text), "<[secret]>");
    }

    #[test]
    fn base64_is_masked_alone_and_within_a_text() {
        let secret = secrets("s3cret?~\u{e9}token");
        for (before, after) in [
            ("", ""),
            ("user:", ""),
            ("us:", "x"),
            ("u:", "xy"),
            ("Bearer ", "\n"),
        ] {
            let text = format!("{before}s3cret?~\u{e9}token{after}");
            for text in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                let masked = masked(&secret, &format!("it is {text}."));
                assert!(masked.contains(MASK), "{text}: {masked}");
                let left = masked.replace(MASK, "").replace("it is ", "");
                assert!(left.len() < text.len() / 2 + 4, "{text}: {masked}");
            }
        }
    }

    #[test]
    fn json_escapes_are_masked_in_a_parsed_result() {
        let secret = secrets("s3cret");
        let mut text =
            serde_json::from_str(r#"{"\u0073\u0033cret": ["x \u0073\u0033\u0063ret", 1, true]}"#)
                .unwrap();
        secret.mask_value(&mut text);
        assert_eq!(
            text,
            serde_json::json!({ "[secret]": ["x [secret]", 1, true] })
        );
        let number = secrets("12345678");
        let mut text = serde_json::json!({ "n": 12_345_678 });
        number.mask_value(&mut text);
        assert_eq!(text, serde_json::json!({ "n": "[secret]" }));
    }
}
