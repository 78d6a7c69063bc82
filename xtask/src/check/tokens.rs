//! A lexer for Rust that supports as much of the language as the checks need.

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or an identifier, without `r#`.
    Word,
    /// `::`, or another single sign.
    Sign,
    /// A string, a character, a number or a lifetime, without its text.
    Literal,
}

/// One token.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its kind.
    pub kind: Kind,
    /// Its text.
    pub text: String,
    /// The line it begins in, from 1.
    pub line: usize,
}

impl Token {
    /// Whether it is this word or sign.
    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

/// A file.
#[derive(Debug, Default)]
pub struct Source {
    /// Its code.
    pub tokens: Vec<Token>,
    /// The lines of its comments, with their numbers.
    pub comments: Vec<(usize, String)>,
}

/// Reads a source that compiles; any other is read as far as possible.
pub fn read(text: &str) -> Source {
    let mut reader = Reader {
        text: text.chars().collect(),
        at: 0,
        line: 1,
        source: Source::default(),
    };
    while reader.at < reader.text.len() {
        reader.step();
    }
    reader.source
}

struct Reader {
    text: Vec<char>,
    at: usize,
    line: usize,
    source: Source,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn next(&mut self) -> char {
        let next = self.peek(0);
        self.at += 1;
        self.line += usize::from(next == '\n');
        next
    }

    fn is_over(&self) -> bool {
        self.at >= self.text.len()
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.source.tokens.push(Token { kind, text, line });
    }

    fn step(&mut self) {
        let line = self.line;
        match (self.peek(0), self.peek(1)) {
            (blank, _) if blank.is_whitespace() => {
                self.next();
            }
            ('/', '/') => self.line_comment(),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.quote(),
            (start, _) if start.is_ascii_digit() => self.number(),
            (start, _) if start.is_alphabetic() || start == '_' => self.word(),
            (':', ':') => {
                self.at += 2;
                self.push(Kind::Sign, "::".to_owned(), line);
            }
            _ => {
                let sign = self.next();
                self.push(Kind::Sign, sign.to_string(), line);
            }
        }
    }

    fn line_comment(&mut self) {
        let start = self.at;
        while !self.is_over() && self.peek(0) != '\n' {
            self.at += 1;
        }
        let text: String = self.text[start..self.at].iter().collect();
        let text = text.trim_start_matches(['/', '!']).to_owned();
        self.source.comments.push((self.line, text));
    }

    fn block_comment(&mut self) {
        let (start, line) = (self.at, self.line);
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.next();
                    if self.is_over() {
                        break;
                    }
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 || self.is_over() {
                break;
            }
        }
        let end = self.at.min(self.text.len());
        let text: String = self.text[start..end].iter().collect();
        for (number, text) in text.lines().enumerate() {
            let text = text.trim().trim_matches(['/', '*', '!']).to_owned();
            self.source.comments.push((line + number, text));
        }
    }

    /// A string with escapes.
    fn string(&mut self) {
        let line = self.line;
        self.next();
        while !self.is_over() {
            match self.next() {
                '\\' => {
                    self.next();
                }
                '"' => break,
                _ => {}
            }
        }
        self.push(Kind::Literal, String::new(), line);
    }

    /// A raw string, from its `"` or `#` on.
    fn raw_string(&mut self) {
        let (line, start) = (self.line, self.at);
        while self.peek(0) == '#' {
            self.at += 1;
        }
        let hashes = self.at - start;
        self.next();
        while !self.is_over() {
            if self.next() == '"' && (0..hashes).all(|ahead| self.peek(ahead) == '#') {
                break;
            }
        }
        self.at += hashes;
        self.push(Kind::Literal, String::new(), line);
    }

    /// A character or a lifetime.
    fn quote(&mut self) {
        let line = self.line;
        self.at += 1;
        if self.peek(0) == '\\' {
            self.at += 2;
            while !self.is_over() && self.peek(0) != '\'' {
                self.at += 1;
            }
            self.at += 1;
        } else if self.peek(1) == '\'' {
            self.next();
            self.at += 1;
        } else {
            self.take_word();
        }
        self.push(Kind::Literal, String::new(), line);
    }

    fn number(&mut self) {
        self.take_word();
        if self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
            self.at += 1;
            self.take_word();
        }
        self.push(Kind::Literal, String::new(), self.line);
    }

    fn word(&mut self) {
        let line = self.line;
        let word = self.take_word();
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        match (self.peek(0), self.peek(1)) {
            ('"', _) if raw => self.raw_string(),
            ('#', '"' | '#') if raw => self.raw_string(),
            ('#', _) if word == "r" => self.at += 1,
            ('"', _) if matches!(word.as_str(), "b" | "c") => self.string(),
            ('\'', _) if word == "b" => self.quote(),
            _ => self.push(Kind::Word, word, line),
        }
    }

    fn take_word(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let tokens = read(text).tokens.into_iter();
        let words = tokens.filter(|token| token.kind == Kind::Word);
        words.map(|token| token.text).collect()
    }

    #[test]
    fn words_in_strings_and_comments_are_none() {
        let text = r####"
            let a = "b \" c"; // d
            /* e /* f */ g */ let h = r#"i " j"#;
            let k = br"l\"; let m = b"n"; let o = r##"p "# q"##;
        "####;
        let found = ["let", "a", "let", "h", "let", "k", "let", "m", "let", "o"];
        assert_eq!(words(text), found);
    }

    #[test]
    fn characters_and_lifetimes_are_told_apart() {
        let text = r"fn f<'a>(x: &'a str) { ['\'', '\u{41}', 'b', '\\', b'c', b'\n', '/'] } g";
        assert_eq!(words(text), ["fn", "f", "x", "str", "g"]);
        assert_eq!(words("r#type 1.5e3 0..n 1u8"), ["type", "n"]);
    }

    #[test]
    fn lines_are_counted() {
        let source = read("//! One\n\n/* two\n * three */ fn four() {\n\"five\nsix\"; seven }");
        let comments: Vec<_> = source.comments.iter().map(|(line, _)| *line).collect();
        assert_eq!(comments, [1, 3, 4]);
        let seven = source.tokens.iter().find(|token| token.is("seven"));
        assert_eq!(seven.map(|token| token.line), Some(6));
        assert_eq!(source.comments[2].1.trim(), "three");
    }
}
