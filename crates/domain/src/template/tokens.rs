//! A cursor over the tokens of a tag.

use super::{
    bounds::MAX_DEPTH,
    fault::Fault,
    lexer::{Tag, Token},
    names::Scope,
};

/// Reserved words.
pub(super) const RESERVED: [&str; 16] = [
    "and", "elif", "else", "endfor", "endif", "false", "False", "for", "if", "in", "is", "none",
    "None", "not", "or", "true",
];

type Parsed<T> = Result<T, Fault>;

/// The tokens of one tag, from left to right.
pub(super) struct Tokens<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<(Token, usize)>>,
    /// Where the tag begins, for errors at its end.
    start: usize,
    depth: usize,
    pub scope: &'a mut Scope,
}

impl<'a> Tokens<'a> {
    pub fn new(tag: Tag, scope: &'a mut Scope) -> Self {
        Self {
            tokens: tag.tokens.into_iter().peekable(),
            start: tag.at,
            depth: 0,
            scope,
        }
    }

    /// An error at the next token.
    pub fn fault(&mut self, message: impl Into<String>) -> Fault {
        let at = self.tokens.peek().map_or(self.start, |(_, at)| *at);
        Fault::new(at, message)
    }

    pub fn peek(&mut self) -> Option<&Token> {
        self.tokens.peek().map(|(token, _)| token)
    }

    /// The next token, and where it begins.
    pub fn take(&mut self) -> Option<(Token, usize)> {
        self.tokens.next()
    }

    /// A new loop variable.
    pub fn new_name(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(Token::Name(name)) if !RESERVED.contains(&&**name) => {
                let name = name.clone();
                self.tokens.next();
                Ok(name)
            }
            _ => Err(self.fault("a name is expected")),
        }
    }

    pub fn take_sign(&mut self, wanted: &str) -> bool {
        self.tokens
            .next_if(|(token, _)| matches!(token, Token::Sign(sign) if *sign == wanted))
            .is_some()
    }

    pub fn take_word(&mut self, wanted: &str) -> bool {
        self.tokens
            .next_if(|(token, _)| matches!(token, Token::Name(name) if name == wanted))
            .is_some()
    }

    pub fn expect_sign(&mut self, wanted: &str) -> Parsed<()> {
        match self.take_sign(wanted) {
            true => Ok(()),
            false => Err(self.fault(format!("`{wanted}` is missing"))),
        }
    }

    /// Parses the inside of brackets or the operand of `not`, one level deeper.
    pub fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(format!("at most {MAX_DEPTH} levels are allowed")));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    /// A name behind `.` or `|`.
    pub fn name(&mut self) -> Parsed<String> {
        match self
            .tokens
            .next_if(|(token, _)| matches!(token, Token::Name(_)))
        {
            Some((Token::Name(name), _)) => Ok(name),
            _ => Err(self.fault("the name of a field is expected")),
        }
    }
}
