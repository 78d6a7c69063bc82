//! Secrets of one call, and their absence from what comes back: a tool that answers what it was sent must
//! not tell the model our secrets.

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

/// What stands where an answer has text a secret.
const HIDDEN: &str = "[secret]";
/// A part of a secret that is shorter than this would be found in texts that do not tell it.
const SHORTEST_PART: usize = 4;
/// A form is found by its first bytes, so that what finds it stays small whatever a tenant keeps.
const FOUND_BY: usize = 64;

/// Opened secrets by name, and what finds the forms in which an answer may tell them.
pub struct Secrets {
    values: BTreeMap<String, String>,
    /// None where there are no secrets.
    finder: Option<Finder>,
}

struct Finder {
    beginnings: AhoCorasick,
    forms: Vec<Vec<u8>>,
}

impl Secrets {
    /// These secrets.
    pub fn new(values: BTreeMap<String, String>) -> Result<Self, Invalid> {
        let mut forms: Vec<_> = values.values().flat_map(|secret| forms(secret)).collect();
        forms.retain(|form| !form.is_empty());
        forms.sort();
        forms.dedup();
        let finder = match forms.is_empty() {
            true => None,
            false => Some(Finder::new(forms)?),
        };
        Ok(Self { values, finder })
    }

    /// The secrets themselves.
    pub const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// An answer's body without them.
    pub fn hide(&self, body: Bytes) -> Bytes {
        match self.hidden(&body) {
            None => body,
            Some(hidden) => hidden.into(),
        }
    }

    /// The words of a failure, which may be the tool's own, without them.
    pub fn hide_in(&self, mut error: Invalid) -> Invalid {
        if let Cow::Owned(hidden) = self.hide_text(&error.message) {
            error.message = hidden;
        }
        error
    }

    /// A result's texts and names of fields without them.
    pub fn hide_within(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(hidden) = self.hide_text(text) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_within(item)),
            Value::Object(fields) => {
                let names: Vec<_> = fields.keys().cloned().collect();
                for name in names {
                    if let Cow::Owned(hidden) = self.hide_text(&name)
                        && let Some(value) = fields.remove(&name)
                    {
                        fields.insert(hidden, value);
                    }
                }
                fields
                    .values_mut()
                    .for_each(|value| self.hide_within(value));
            }
            Value::Number(number) => {
                if let Cow::Owned(hidden) = self.hide_text(&number.to_string()) {
                    *value = hidden.into();
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn hide_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.hidden(text.as_bytes()) {
            None => Cow::Borrowed(text),
            Some(hidden) => Cow::Owned(String::from_utf8_lossy(&hidden).into_owned()),
        }
    }

    /// The text without them; none where it has none of them.
    fn hidden(&self, text: &[u8]) -> Option<Vec<u8>> {
        let finder = self.finder.as_ref()?;
        // How many matches begin at a byte, less those that end there.
        let mut bounds = vec![0_i32; text.len() + 1];
        let mut is_found = false;
        for layer in decoding::layers(text) {
            finder.find(&layer.bytes, |start, end| {
                bounds[layer.origin(start)] += 1;
                bounds[layer.origin(end)] -= 1;
                is_found = true;
            });
        }
        is_found.then(|| without(text, &bounds))
    }
}

impl Finder {
    fn new(forms: Vec<Vec<u8>>) -> Result<Self, Invalid> {
        let beginnings = forms.iter().map(|form| &form[..form.len().min(FOUND_BY)]);
        let beginnings = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            // Hexadecimal digits come in both cases.
            .ascii_case_insensitive(true)
            .build(beginnings)
            .map_err(|_| Invalid::new("secrets_too_many", "they cannot be hidden"))?;
        Ok(Self { beginnings, forms })
    }

    /// Tells where forms stand: as much of them as is there, if it is as much as they are found by.
    fn find(&self, bytes: &[u8], mut tell: impl FnMut(usize, usize)) {
        // Up to where a form has been followed: a text of its repetitions is looked at once.
        let mut followed = vec![0; self.forms.len()];
        for found in self.beginnings.find_overlapping_iter(bytes) {
            let (form, start) = (found.pattern().as_usize(), found.start());
            let mut end = found.end().max(followed[form]);
            let stands_there = |end: usize| {
                let both = self.forms[form].get(end - start).zip(bytes.get(end));
                both.is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
            };
            while stands_there(end) {
                end += 1;
            }
            followed[form] = end;
            tell(start, end);
        }
    }
}

/// The text with what lies within bounds replaced, each stretch of it once.
fn without(text: &[u8], bounds: &[i32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut open = 0;
    for (byte, bound) in text.iter().zip(bounds) {
        let was_open = open > 0;
        open += bound;
        match open > 0 {
            false => out.push(*byte),
            true if !was_open => out.extend_from_slice(HIDDEN.as_bytes()),
            true => {}
        }
    }
    out
}

/// How a secret may be spelled: as it is, in hexadecimal, and in base64 of either alphabet, alone or within a
/// longer text. What undoes other spellings is [`decoding`].
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.as_bytes().to_vec(), hexadecimal.into_bytes()];
    forms.extend((0..3).flat_map(|before| base64(secret, before)));
    forms
}

/// The characters of base64 that a secret alone decides, where so many bytes stand before it in their group of
/// three.
fn base64(secret: &str, before: usize) -> Vec<Vec<u8>> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret.as_bytes());
    let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    let own = |encoded: String| encoded.as_bytes().get(first..last).map(<[u8]>::to_vec);
    let both = [
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
    ];
    let mut forms: Vec<_> = both.into_iter().filter_map(own).collect();
    forms.retain(|form| form.len() >= SHORTEST_PART);
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn secrets(secret: &str) -> Secrets {
        Secrets::new(BTreeMap::from([("S".to_owned(), secret.to_owned())])).unwrap()
    }

    fn hidden(secrets: &Secrets, text: &str) -> String {
        String::from_utf8(secrets.hide(text.to_owned().into()).to_vec()).unwrap()
    }

    #[test]
    fn a_secret_is_hidden_however_it_is_spelled() {
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
            let text = hidden(&secret, text);
            assert!(text.contains(HIDDEN), "{text}");
            assert!(!text.contains("b/c") && !text.contains("%2Fc"), "{text}");
        }
        let strict = secrets("a-b*c.d~");
        for text in ["/x?y=a-b*c.d%7E", "/x?y=a%2db%2Ac%2Ed%7e", "/x?y=a-b*c.d~"] {
            assert_eq!(hidden(&strict, text), "/x?y=[secret]");
        }
        let other = Bytes::from_static(b"nothing of it");
        assert_eq!(secret.hide(other.clone()), other);
    }

    #[test]
    fn what_languages_make_of_a_secret_is_hidden() {
        for (secret, texts) in [
            (
                "tok~abc/def+g==",
                &[
                    // Our own URLs, `encodeURIComponent`, Python's `quote`, and twice.
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
                let hidden = hidden(&secret, text);
                assert!(hidden.contains(HIDDEN), "{text}: {hidden}");
                assert!(
                    !hidden.contains("ab") && !hidden.contains("ss"),
                    "{text}: {hidden}"
                );
            }
        }
        let long = "0123456789abcdef".repeat(8);
        let secret = secrets(&long);
        let wrapped = STANDARD.encode(format!("user:{long}"));
        let wrapped = format!("{}\r\n{}", &wrapped[..76], &wrapped[76..]);
        let text = hidden(&secret, &wrapped);
        assert!(text.len() < 30, "{text}");
    }

    #[test]
    fn secrets_within_one_another_are_hidden_whole() {
        let both = BTreeMap::from([
            ("A".to_owned(), "s3cret-of-a".to_owned()),
            ("B".to_owned(), "xs3c".to_owned()),
        ]);
        let both = Secrets::new(both).unwrap();
        assert_eq!(
            hidden(&both, "a: xs3cret-of-a; b: xs3c."),
            "a: [secret]; b: [secret]."
        );
        let long = secrets(&"long".repeat(2_000));
        let text = format!("<{}>", "long".repeat(2_000));
        assert_eq!(hidden(&long, &text), "<[secret]>");
    }

    #[test]
    fn base64_is_hidden_alone_and_within() {
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
                let hidden = hidden(&secret, &format!("it is {text}."));
                assert!(hidden.contains(HIDDEN), "{text}: {hidden}");
                let left = hidden.replace(HIDDEN, "").replace("it is ", "");
                assert!(left.len() < text.len() / 2 + 4, "{text}: {hidden}");
            }
        }
    }

    #[test]
    fn what_only_a_parser_undoes_is_hidden_within_a_result() {
        let secret = secrets("s3cret");
        let mut text =
            serde_json::from_str(r#"{"\u0073\u0033cret": ["x \u0073\u0033\u0063ret", 1, true]}"#)
                .unwrap();
        secret.hide_within(&mut text);
        assert_eq!(
            text,
            serde_json::json!({ "[secret]": ["x [secret]", 1, true] })
        );
        let number = secrets("12345678");
        let mut text = serde_json::json!({ "n": 12_345_678 });
        number.hide_within(&mut text);
        assert_eq!(text, serde_json::json!({ "n": "[secret]" }));
    }
}
