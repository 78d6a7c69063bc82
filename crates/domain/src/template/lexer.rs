//! The lexer of tags.

use serde_json::{Number, Value};

use super::fault::Fault;

/// The tokens of a tag with their offsets.
#[derive(Debug)]
pub(super) struct Tag {
    pub at: usize,
    pub tokens: Vec<(Token, usize)>,
}

/// A token of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Literal(Value),
    Sign(&'static str),
}

impl Token {
    /// The token as it is written in the source.
    pub fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Literal(value) => value.to_string(),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

const SIGNS: [&str; 13] = [
    "==", "!=", "<=", ">=", "<", ">", "|", ".", ",", "(", ")", "[", "]",
];

/// Splits a tag, which begins at `base` in the source, into tokens.
pub(super) fn tokens(inner: &str, base: usize) -> Result<Vec<(Token, usize)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = inner[at..].chars().next() {
        let rest = &inner[at..];
        let fault = |message: String| Fault::new(base + at, message);
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, length) = match c {
            '"' | '\'' => {
                string(rest, c).ok_or_else(|| fault("a string is not closed".to_owned()))?
            }
            '0'..='9' => number(rest).ok_or_else(|| fault("this is no number".to_owned()))?,
            '-' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                number(rest).ok_or_else(|| fault("this is no number".to_owned()))?
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let length = rest.find(|c| !plain(c)).unwrap_or(rest.len());
                (Token::Name(rest[..length].to_owned()), length)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let unknown = || {
                    fault(format!(
                        "`{}` is not part of the template language",
                        c.escape_debug()
                    ))
                };
                let sign = sign.ok_or_else(unknown)?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push((token, base + at));
        at += length;
    }
    Ok(tokens)
}

fn string(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((Token::Literal(text.into()), at + 1)),
            '\\' => text.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            c => text.push(c),
        }
    }
    None
}

fn number(rest: &str) -> Option<(Token, usize)> {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let sign = usize::from(rest.starts_with('-'));
    let length = rest[sign..]
        .find(|c| !digits(c))
        .map_or(rest.len(), |end| end + sign);
    let text = &rest[..length];
    let number = match text.contains('.') {
        true => Number::from_f64(text.parse().ok()?)?,
        false => Number::from(text.parse::<i64>().ok()?),
    };
    Some((Token::Literal(number.into()), length))
}
