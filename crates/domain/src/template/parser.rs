//! The parser of blocks: builds a tree of bounded depth.

use super::{
    bounds::MAX_DEPTH,
    expression,
    fault::Fault,
    lexer::{Tag, Token},
    names::{Lookup, Scope},
    parts::{Part, split},
    tokens::Tokens,
    tree::{Expr, Node, Repeat, Step},
};

type Parsed<T> = Result<T, Fault>;

/// Parses a template.
pub(super) fn parse(source: &str) -> Parsed<(Vec<Node>, Vec<Lookup>)> {
    let mut blocks = Blocks {
        parts: split(source)?.into_iter(),
        scope: Scope::default(),
    };
    let (nodes, ending) = blocks.nodes(0)?;
    match ending {
        Some(ending) => Err(Fault::new(
            ending.at,
            format!("`{}` ends nothing", ending.word),
        )),
        None => Ok((nodes, blocks.scope.lookups)),
    }
}

struct Blocks<'a> {
    parts: std::vec::IntoIter<Part<'a>>,
    scope: Scope,
}

/// The tag that ended a run of nodes.
struct Ending {
    word: String,
    at: usize,
    tag: Tag,
}

impl Blocks<'_> {
    /// Nodes up to a tag that belongs to the enclosing block, or to the end.
    fn nodes(&mut self, depth: usize) -> Parsed<(Vec<Node>, Option<Ending>)> {
        let mut nodes = Vec::new();
        while let Some(part) = self.parts.next() {
            match part {
                Part::Text("") => {}
                Part::Text(text) => nodes.push(Node::Text(text.to_owned())),
                Part::Write(tag) => nodes.push(Node::Write(self.written(tag)?)),
                Part::Block(mut tag) => {
                    let at = tag.at;
                    let word = match tag.tokens.first() {
                        Some((Token::Name(word), _)) => word.clone(),
                        _ => return Err(Fault::new(at, "the tag has no name")),
                    };
                    tag.tokens.remove(0);
                    if depth >= MAX_DEPTH && matches!(&*word, "if" | "for") {
                        let message = format!("at most {MAX_DEPTH} levels are allowed");
                        return Err(Fault::new(at, message));
                    }
                    match &*word {
                        "if" => nodes.push(self.choose(tag, depth + 1)?),
                        "for" => nodes.push(self.repeat(tag, depth + 1)?),
                        // The lexer rejects every other word.
                        _ => return Ok((nodes, Some(Ending { word, at, tag }))),
                    }
                }
            }
        }
        Ok((nodes, None))
    }

    fn written(&mut self, tag: Tag) -> Parsed<Expr> {
        let before = self.scope.lookups.len();
        let expression = self.whole(tag)?;
        let plain = |base: &Expr, steps: &[Step]| {
            matches!(base, Expr::Name(_)) && matches!(steps, [Step::Field(_)])
        };
        if let (Expr::Steps(base, steps), [lookup]) =
            (&expression, &mut self.scope.lookups[before..])
        {
            lookup.is_alone = plain(base, steps);
        }
        Ok(expression)
    }

    fn choose(&mut self, tag: Tag, depth: usize) -> Parsed<Node> {
        let start = tag.at;
        let mut branches = Vec::new();
        let mut condition = self.whole(tag)?;
        loop {
            let (body, ending) = self.nodes(depth)?;
            branches.push((condition, body));
            match self.expect(ending, start, "if")? {
                Ending { word, tag, .. } if word == "elif" => condition = self.whole(tag)?,
                Ending { word, tag, .. } if word == "else" => {
                    nothing_more(&tag)?;
                    let (otherwise, ending) = self.nodes(depth)?;
                    let ending = self.expect(ending, start, "if")?;
                    closes(&ending, "endif")?;
                    return Ok(Node::Choose(branches, otherwise));
                }
                ending => {
                    closes(&ending, "endif")?;
                    return Ok(Node::Choose(branches, Vec::new()));
                }
            }
        }
    }

    fn repeat(&mut self, tag: Tag, depth: usize) -> Parsed<Node> {
        let start = tag.at;
        let mut tokens = Tokens::new(tag, &mut self.scope);
        let first = tokens.new_name()?;
        let second = match tokens.take_sign(",") {
            true => Some(tokens.new_name()?),
            false => None,
        };
        if !tokens.take_word("in") {
            return Err(tokens.fault("`in` is missing"));
        }
        let over = expression::read(tokens)?;
        let outer = self.scope.names.len();
        let given = ["loop".to_owned(), first.clone()];
        self.scope
            .names
            .extend(given.into_iter().chain(second.clone()));
        let (body, ending) = self.nodes(depth)?;
        self.scope.names.truncate(outer);
        let mut ending = self.expect(ending, start, "for")?;
        let mut otherwise = Vec::new();
        if ending.word == "else" {
            nothing_more(&ending.tag)?;
            let (nodes, after) = self.nodes(depth)?;
            otherwise = nodes;
            ending = self.expect(after, start, "for")?;
        }
        closes(&ending, "endfor")?;
        let names = (first, second);
        Ok(Node::Repeat(Box::new(Repeat {
            names,
            over,
            body,
            otherwise,
        })))
    }

    fn expect(&self, ending: Option<Ending>, start: usize, word: &str) -> Parsed<Ending> {
        ending.ok_or_else(|| {
            Fault::new(
                start,
                format!("`{{% {word} %}}` is not closed with `{{% end{word} %}}`"),
            )
        })
    }

    fn whole(&mut self, tag: Tag) -> Parsed<Expr> {
        expression::read(Tokens::new(tag, &mut self.scope))
    }
}

fn closes(ending: &Ending, word: &str) -> Parsed<()> {
    if ending.word != word {
        let message = format!("`{}` stands where `{word}` is expected", ending.word);
        return Err(Fault::new(ending.at, message));
    }
    nothing_more(&ending.tag)
}

fn nothing_more(tag: &Tag) -> Parsed<()> {
    match tag.tokens.first() {
        Some((_, at)) => Err(Fault::new(*at, "nothing may stand here")),
        None => Ok(()),
    }
}
