//! Secrets of one call, and their absence from what comes back: a tool that answers what it was sent must
//! not tell the model our secrets.

use std::{borrow::Cow, collections::BTreeMap};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use patchbay_domain::Invalid;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;

/// What stands where an answer has told a secret.
const HIDDEN: &str = "[secret]";
/// A part of a secret that is shorter than this would be found in texts that do not tell it.
const SHORTEST_PART: usize = 6;

/// Opened secrets by name, and what finds the forms in which an answer may tell them.
pub struct Secrets {
    values: BTreeMap<String, String>,
    /// None where there are no secrets.
    forms: Option<AhoCorasick>,
}

impl Secrets {
    /// These secrets.
    pub fn new(values: BTreeMap<String, String>) -> Result<Self, Invalid> {
        let mut forms: Vec<_> = values.values().flat_map(|secret| forms(secret)).collect();
        forms.retain(|form| !form.is_empty());
        let find = || {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                // Hexadecimal digits come in both cases.
                .ascii_case_insensitive(true)
                .build(&forms)
                .map_err(|_| {
                    Invalid::new("secrets_too_long", "the secrets are too long to be hidden")
                })
        };
        let forms = (!forms.is_empty()).then(find).transpose()?;
        Ok(Self { values, forms })
    }

    /// The secrets themselves.
    pub const fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// An answer's body without them.
    pub fn hide(&self, body: Bytes) -> Bytes {
        let text = String::from_utf8_lossy(&body);
        match self.hide_text(&text) {
            Cow::Borrowed(_) => body,
            Cow::Owned(hidden) => hidden.into(),
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
        let Some(forms) = self.forms.as_ref().filter(|forms| forms.is_match(text)) else {
            return Cow::Borrowed(text);
        };
        let mut hidden = String::with_capacity(text.len());
        forms.replace_all_with(text, &mut hidden, |_, _, out| {
            out.push_str(HIDDEN);
            true
        });
        Cow::Owned(hidden)
    }
}

/// How a secret may be spelled in an answer: as it is, in JSON, in a URL, in hexadecimal, and in base64 of either
/// alphabet, alone or within a longer text.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let strict = percent_encode(secret.as_bytes(), NON_ALPHANUMERIC).to_string();
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let every: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut forms = vec![
        json.replace('/', "\\/"),
        json,
        url.replace('+', "%20"),
        url,
        strict,
        every,
        hexadecimal,
        secret.to_owned(),
    ];
    forms.extend(
        [0, 1, 2]
            .into_iter()
            .flat_map(|before| base64(secret, before)),
    );
    forms
}

/// The characters of base64 that a secret alone decides, where so many bytes stand before it in their group of
/// three.
fn base64(secret: &str, before: usize) -> Vec<String> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret.as_bytes());
    let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    let own = |encoded: String| encoded.get(first..last).unwrap_or_default().to_owned();
    let mut forms = vec![
        own(STANDARD_NO_PAD.encode(&bytes)),
        own(URL_SAFE_NO_PAD.encode(&bytes)),
    ];
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

    fn hidden(secrets: &Secrets, told: &str) -> String {
        String::from_utf8(secrets.hide(told.to_owned().into()).to_vec()).unwrap()
    }

    #[test]
    fn a_secret_is_hidden_however_it_is_spelled() {
        let secret = secrets("a\"b/c d\\");
        for told in [
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
            let told = hidden(&secret, told);
            assert!(told.contains(HIDDEN), "{told}");
            assert!(!told.contains("b/c") && !told.contains("%2Fc"), "{told}");
        }
        let strict = secrets("a-b*c.d~");
        for told in ["/x?y=a-b*c.d%7E", "/x?y=a%2db%2Ac%2Ed%7e", "/x?y=a-b*c.d~"] {
            assert_eq!(hidden(&strict, told), "/x?y=[secret]");
        }
        let other = Bytes::from_static(b"nothing of it");
        assert_eq!(secret.hide(other.clone()), other);
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
            let told = format!("{before}s3cret?~\u{e9}token{after}");
            for told in [STANDARD.encode(&told), URL_SAFE.encode(&told)] {
                let hidden = hidden(&secret, &format!("it is {told}."));
                assert!(hidden.contains(HIDDEN), "{told}: {hidden}");
                let left = hidden.replace(HIDDEN, "").replace("it is ", "");
                assert!(left.len() < told.len() / 2 + 4, "{told}: {hidden}");
            }
        }
    }

    #[test]
    fn what_only_a_parser_undoes_is_hidden_within_a_result() {
        let secret = secrets("s3cret");
        let mut told =
            serde_json::from_str(r#"{"\u0073\u0033cret": ["x \u0073\u0033\u0063ret", 1, true]}"#)
                .unwrap();
        secret.hide_within(&mut told);
        assert_eq!(
            told,
            serde_json::json!({ "[secret]": ["x [secret]", 1, true] })
        );
        let number = secrets("12345678");
        let mut told = serde_json::json!({ "n": 12_345_678 });
        number.hide_within(&mut told);
        assert_eq!(told, serde_json::json!({ "n": "[secret]" }));
    }
}
