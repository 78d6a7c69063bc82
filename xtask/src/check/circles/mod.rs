//! Circular imports among the files of a crate.
//!
//! A file imports another one if it names something that is defined there, be it a sibling, its child or its
//! parent. Names are followed through `pub use` to their definition; declaring a child or re-exporting its names
//! is no import.

mod modules;
mod names;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Result, ensure};

use modules::Crate;
use names::Target;

use super::sources::packages;

/// Imports by importing and imported file, with the names.
type Edges = BTreeMap<(usize, usize), BTreeSet<String>>;

/// Fails with each circle among the source files of a package.
pub fn check(root: &Path) -> Result<()> {
    let mut found = Vec::new();
    for (name, folder) in packages(root)? {
        let read = Crate::read(&name, &folder.join("src"))?;
        found.extend(circles(&read, root));
    }
    ensure!(
        found.is_empty(),
        "{} circles of files that import each other:\n{}",
        found.len(),
        found.join("\n")
    );
    Ok(())
}

/// Each circle, with the names that cause it.
fn circles(read: &Crate, root: &Path) -> Vec<String> {
    let edges = edges(read);
    let count = read.files.len();
    let reach: Vec<_> = (0..count).map(|file| reachable(&edges, file)).collect();
    let mut circles = Vec::new();
    for file in 0..count {
        let mates = reach[file]
            .iter()
            .filter(|mate| reach[**mate].contains(&file));
        let circle: BTreeSet<_> = mates.copied().collect();
        if circle.first() == Some(&file) {
            circles.push(describe(read, root, &edges, &circle));
        }
    }
    circles
}

/// All files that a file imports, transitively.
fn reachable(edges: &Edges, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        let out = edges.range((file, 0)..(file + 1, 0));
        next.extend(out.map(|((_, to), _)| *to).filter(|to| reached.insert(*to)));
    }
    reached
}

fn describe(read: &Crate, root: &Path, edges: &Edges, circle: &BTreeSet<usize>) -> String {
    let name = |file: &usize| {
        let path = &read.files[*file];
        let path = path.strip_prefix(root).unwrap_or(path);
        path.display().to_string()
    };
    let files: Vec<_> = circle.iter().map(name).collect();
    let mut lines = vec![format!("circle: {}", files.join(", "))];
    for ((from, to), names) in edges {
        if circle.contains(from) && circle.contains(to) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let (from, to, names) = (name(from), name(to), names.join(", "));
            lines.push(format!("  {from} -> {to}: {names}"));
        }
    }
    lines.join("\n")
}

/// All imports.
fn edges(read: &Crate) -> Edges {
    let mut edges = Edges::new();
    for (id, module) in read.modules.iter().enumerate() {
        let mut tie = |target, all: bool| {
            let (file, name) = match target {
                Some(Target::Item(file, name)) => (file, name),
                Some(Target::Module(module)) if all => (read.modules[module].file, "*".to_owned()),
                _ => return,
            };
            if file != module.file {
                edges.entry((module.file, file)).or_default().insert(name);
            }
        };
        for path in &module.paths {
            tie(read.resolve(id, path, false), false);
        }
        for import in &module.imports {
            let all = import.name == "*";
            // A re-export is no use.
            if !import.public || module.words.contains(&import.name) {
                tie(read.resolve(id, &import.path, all), all);
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    /// The circles of a crate with these files.
    fn circles_of(name: &str, files: &[(&str, &str)]) -> Vec<String> {
        let root = env::temp_dir().join(format!("circles-{name}-{}", process::id()));
        for (file, text) in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let read = Crate::read("my-crate", &root).unwrap();
        let circles = circles(&read, &root);
        fs::remove_dir_all(&root).unwrap();
        circles
    }

    #[test]
    fn siblings_that_name_each_other_are_a_circle() {
        let found = circles_of(
            "siblings",
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                (
                    "a.rs",
                    "use crate::{c, b::{self as other, B}}; fn f() { c::c(); other::g() } pub struct A;",
                ),
                (
                    "b.rs",
                    "use super::a::A as Renamed; pub struct B; pub fn g() {}",
                ),
                ("c.rs", "pub fn c() {}"),
            ],
        );
        let expected = "circle: a.rs, b.rs\n  a.rs -> b.rs: B, g\n  b.rs -> a.rs: A";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn paths_in_code_count_and_words_in_strings_and_comments_do_not() {
        let lib = ("lib.rs", "mod a; mod b; pub mod c;");
        let a = (
            "a.rs",
            "pub fn f(b: super::b::B) {} pub(in crate::b) struct A;",
        );
        let b = (
            "b.rs",
            "//! [`crate::a::f`]\npub struct B; const C: &str = \"crate::a::f\";",
        );
        let c = ("c/mod.rs", "pub mod d; pub struct C;");
        let d = ("c/d.rs", "pub struct D;");
        assert!(circles_of("words", &[lib, a, b, c, d]).is_empty());
        let b = ("b.rs", "pub struct B; fn g() { crate::a::f(B) }");
        let found = circles_of("paths", &[lib, a, b, c, d]);
        assert_eq!(
            found,
            ["circle: a.rs, b.rs\n  a.rs -> b.rs: B\n  b.rs -> a.rs: f"]
        );
    }

    #[test]
    fn what_a_module_hands_on_is_where_it_is_defined() {
        let lib = ("lib.rs", "mod api; pub use api::*;");
        let face = (
            "api/mod.rs",
            "mod dto; mod handlers;\npub use dto::Dto; pub(crate) use handlers::*;",
        );
        let dto = ("api/dto.rs", "pub struct Dto;");
        let handlers = (
            "api/handlers.rs",
            "use crate::Dto; pub fn handle(dto: Dto) {}",
        );
        assert!(circles_of("face", &[lib, face, dto, handlers]).is_empty());
        let dto = ("api/dto.rs", "use super::handle; pub struct Dto;");
        let found = circles_of("handed-on", &[lib, face, dto, handlers]);
        let expected = "circle: api/dto.rs, api/handlers.rs\n  \
            api/dto.rs -> api/handlers.rs: handle\n  api/handlers.rs -> api/dto.rs: Dto";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_parent_that_uses_what_its_child_makes_of_its_own_is_in_a_circle() {
        let lib = ("lib.rs", "mod up;\npub use up::Upload; pub struct Store;");
        let up = ("up.rs", "use super::*; pub struct Upload(Store);");
        assert!(circles_of("parent", &[lib, up]).is_empty());
        let lib = (
            "lib.rs",
            "mod up; pub use up::Upload; pub struct Store; fn f() -> Upload {}",
        );
        let found = circles_of("child", &[lib, up]);
        assert_eq!(
            found,
            ["circle: lib.rs, up.rs\n  lib.rs -> up.rs: Upload\n  up.rs -> lib.rs: *"]
        );
    }

    #[test]
    fn imports_that_lead_through_the_same_module_twice_are_followed() {
        let lib = ("lib.rs", "mod a; mod b;");
        let a = ("a/mod.rs", "mod inner; pub use crate::a::inner::X;");
        let inner = ("a/inner.rs", "pub struct X; fn f() { crate::b::f() }");
        let b = (
            "b.rs",
            "pub use self::f as g; use crate::a::X; pub fn f() {}",
        );
        let found = circles_of("twice", &[lib, a, inner, b]);
        let expected = "circle: a/inner.rs, b.rs\n  a/inner.rs -> b.rs: f\n  b.rs -> a/inner.rs: X";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn tests_are_left_out() {
        let lib = ("lib.rs", "mod a;\n#[cfg(test)]\nmod tests;\npub struct L;");
        let a = (
            "a.rs",
            "pub fn f() {} #[cfg(test)] use crate::L; #[cfg(test)] mod more { use crate::*; }",
        );
        let tests = ("tests.rs", "use crate::a::f;");
        assert!(circles_of("tests", &[lib, a, tests]).is_empty());
    }

    #[test]
    fn a_long_way_round_and_the_binary_s_own_library() {
        let found = circles_of(
            "long",
            &[
                ("lib.rs", "pub mod a; mod b; mod c; mod other;"),
                ("main.rs", "use my_crate::a; fn main() { a::run() }"),
                ("a.rs", "use crate::b::B; pub fn run() {}"),
                ("b.rs", "pub type B = super::c::inner::C;"),
                (
                    "c.rs",
                    "pub mod inner { pub struct C; fn f() { crate::a::run() } }",
                ),
                ("other.rs", "use crate::a::run;"),
            ],
        );
        let expected =
            "circle: a.rs, b.rs, c.rs\n  a.rs -> b.rs: B\n  b.rs -> c.rs: C\n  c.rs -> a.rs: run";
        assert_eq!(found, [expected]);
    }
}
