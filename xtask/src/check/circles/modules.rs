//! The modules of a crate with their items, imports and paths.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::check::tokens::{self, Kind, Token};

/// Keywords that are followed by the name of an item.
const ITEMS: [&str; 9] = [
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "type",
    "const",
    "static",
    "macro_rules",
];

/// A parsed crate.
pub struct Crate {
    /// Its name in other crates.
    pub name: String,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// Its modules; a parent is before its children.
    pub modules: Vec<Module>,
    /// The module of `lib.rs`, if there is one.
    pub library: Option<usize>,
}

/// A module: a file, or a part of one.
#[derive(Default)]
pub struct Module {
    /// Its file.
    pub file: usize,
    /// Its parent.
    pub parent: Option<usize>,
    /// Its children.
    pub children: BTreeMap<String, usize>,
    /// The items that it defines.
    pub items: BTreeSet<String>,
    /// Its imports.
    pub imports: Vec<Import>,
    /// Paths with at least two names, outside of imports.
    pub paths: BTreeSet<Vec<String>>,
    /// Names outside of imports: the first of each path, and single ones.
    pub words: BTreeSet<String>,
}

/// One name of a `use`.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The imported path.
    pub path: Vec<String>,
    /// The name in this module; `*` for all.
    pub name: String,
    /// Whether it is a re-export.
    pub public: bool,
}

impl Crate {
    /// Parses `lib.rs` and `main.rs` in the folder, with all their modules.
    pub fn read(name: &str, folder: &Path) -> Result<Self> {
        let mut read = Self {
            name: name.replace('-', "_"),
            files: Vec::new(),
            modules: Vec::new(),
            library: None,
        };
        for root in ["lib.rs", "main.rs"] {
            let file = folder.join(root);
            if file.exists() {
                let module = read.file(file, folder, None)?;
                read.library = read.library.or((root == "lib.rs").then_some(module));
            }
        }
        Ok(read)
    }

    /// Parses a file whose children are in `folder`.
    fn file(&mut self, file: PathBuf, folder: &Path, parent: Option<usize>) -> Result<usize> {
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        self.files.push(file);
        let file = self.files.len() - 1;
        self.module(&tokens::read(&text).tokens, file, folder, parent)
    }

    fn module(
        &mut self,
        tokens: &[Token],
        file: usize,
        folder: &Path,
        parent: Option<usize>,
    ) -> Result<usize> {
        let id = self.modules.len();
        self.modules.push(Module {
            file,
            parent,
            ..Module::default()
        });
        let mut reader = Reader { tokens, at: 0 };
        let mut depth = 0_i32;
        while let Some(token) = reader.token(0) {
            if reader.is_for_tests() {
                reader.skip_item();
            } else if token.is("mod") && depth == 0 {
                self.child(&mut reader, id, folder)?;
            } else {
                depth += brackets(token);
                reader.statement(&mut self.modules[id], depth);
            }
        }
        Ok(id)
    }

    /// `mod name;`, or `mod name { … }`.
    fn child(&mut self, reader: &mut Reader<'_>, parent: usize, folder: &Path) -> Result<()> {
        let name = reader.word(1);
        reader.at += 2;
        let body = reader.is(0, "{").then(|| reader.block());
        if name.is_empty() || name == "tests" {
            return Ok(());
        }
        let inner = folder.join(&name);
        let child = if let Some(body) = body {
            let file = self.modules[parent].file;
            self.module(body, file, &inner, Some(parent))?
        } else {
            let beside = folder.join(format!("{name}.rs"));
            let within = inner.join("mod.rs");
            let file = if beside.exists() { beside } else { within };
            self.file(file, &inner, Some(parent))?
        };
        self.modules[parent].children.insert(name, child);
        Ok(())
    }
}

/// The change of the bracket depth by this token.
fn brackets(token: &Token) -> i32 {
    match token.text.as_str() {
        "{" | "(" | "[" => 1,
        "}" | ")" | "]" => -1,
        _ => 0,
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn token(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead)
    }

    fn is(&self, ahead: usize, text: &str) -> bool {
        self.token(ahead).is_some_and(|token| token.is(text))
    }

    /// The word at this position, or an empty string.
    fn word(&self, ahead: usize) -> String {
        let word = self.token(ahead).filter(|token| token.kind == Kind::Word);
        word.map(|token| token.text.clone()).unwrap_or_default()
    }

    /// The tokens between `{` and its `}`.
    fn block(&mut self) -> &'a [Token] {
        let start = self.at + 1;
        let mut depth = 0;
        while let Some(token) = self.token(0) {
            depth += brackets(token);
            self.at += 1;
            if depth == 0 {
                return &self.tokens[start..self.at - 1];
            }
        }
        &self.tokens[start.min(self.tokens.len())..]
    }

    /// Whether `#[cfg(test)]`, or a larger condition with `test`, is next.
    fn is_for_tests(&self) -> bool {
        if !(self.is(0, "#") && self.is(1, "[") && self.is(2, "cfg")) {
            return false;
        }
        let attribute = self.tokens[self.at..].iter();
        let mut attribute = attribute.take_while(|token| !token.is("]"));
        let mut inner = attribute.clone();
        attribute.any(|token| token.is("test")) && !inner.any(|token| token.is("not"))
    }

    /// Skips attributes and the item, field or statement that follows them.
    fn skip_item(&mut self) {
        while self.is(0, "#") {
            self.at += 1;
            self.block();
        }
        let mut depth = 0;
        let (mut is_item, mut is_use) = (false, false);
        while let Some(token) = self.token(0) {
            depth += brackets(token);
            if depth < 0 {
                return;
            }
            self.at += 1;
            let opens = ITEMS.contains(&token.text.as_str());
            is_item |= opens || token.is("impl") || token.is("mod") || token.is("use");
            is_use |= token.is("use");
            let ends = token.is(";") || token.is(",") && !is_item || token.is("}") && !is_use;
            if depth == 0 && ends {
                return;
            }
        }
    }

    /// Parses one step of a module's code.
    fn statement(&mut self, module: &mut Module, depth: i32) {
        let token = &self.tokens[self.at];
        if token.kind != Kind::Word {
            self.at += 1;
        } else if token.is("use") && !self.is(1, "<") {
            // `pub`, or the end of `pub(crate)`.
            let before = self.at.checked_sub(1).map(|at| &self.tokens[at]);
            let public = before.is_some_and(|before| before.is("pub") || before.is(")"));
            self.at += 1;
            self.import(&[], public, &mut module.imports);
        } else if ITEMS.contains(&token.text.as_str()) {
            self.at += 1 + usize::from(self.is(1, "!"));
            let name = self.word(0);
            if !ITEMS.contains(&name.as_str()) && !name.is_empty() {
                self.at += 1;
                module.items.extend((depth == 0).then_some(name));
            }
        } else {
            self.path(module);
        }
    }

    /// A path or a single word.
    fn path(&mut self, module: &mut Module) {
        let is_counted = self.begins_a_path();
        let mut path = vec![self.word(0)];
        self.at += 1;
        while self.is(0, "::") && !self.word(1).is_empty() {
            path.push(self.word(1));
            self.at += 2;
        }
        if is_counted {
            module.words.insert(path[0].clone());
            module.paths.extend((path.len() > 1).then_some(path));
        }
    }

    /// False for a field or method, for what follows a type's `::`, and for a visibility (`pub(in a::b)`).
    fn begins_a_path(&self) -> bool {
        let back = |steps| {
            let at = self.at.checked_sub(steps);
            let token = at.and_then(|at| self.tokens.get(at));
            move |text| token.is_some_and(|token| token.is(text))
        };
        let is_member = back(1)(".") && !back(2)(".");
        let is_visibility = back(1)("in") && back(2)("(") && back(3)("pub");
        !(is_member || is_visibility || back(1)("::"))
    }

    /// Parses a `use` up to its `;`, or up to the end of one branch.
    fn import(&mut self, start: &[String], public: bool, imports: &mut Vec<Import>) {
        let mut path = start.to_vec();
        let mut name = None;
        while let Some(token) = self.token(0) {
            if token.is("{") {
                self.branches(&path, public, imports);
                path.clear();
                continue;
            } else if token.is("*") {
                name = Some("*".to_owned());
            } else if token.is("as") {
                self.at += 1;
                name = Some(self.word(0));
            } else if token.kind == Kind::Word {
                path.push(token.text.clone());
            } else if !token.is("::") {
                break;
            }
            self.at += 1;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if let Some(last) = path.last().cloned() {
            let name = name.unwrap_or(last);
            imports.push(Import { path, name, public });
        }
    }

    /// `{ … }` of a `use`.
    fn branches(&mut self, path: &[String], public: bool, imports: &mut Vec<Import>) {
        while !self.is(0, "}") && self.token(0).is_some() {
            self.at += 1;
            if !self.is(0, "}") {
                self.import(path, public, imports);
            }
        }
        self.at += 1;
    }
}
