//! Resolution of paths through imports and re-exports.

use super::modules::{Crate, Module};

/// The target of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A module.
    Module(usize),
    /// An item, and the file that defines it.
    Item(usize, String),
}

/// The lookups in progress, as imports can be circular.
type Trail = Vec<(usize, String, bool)>;

impl Crate {
    /// Resolves a path in a module; none if it leads outside of the crate. If a module and an item have the same
    /// name, `module` selects.
    pub fn resolve(&self, from: usize, path: &[String], module: bool) -> Option<Target> {
        self.follow(from, path, module, &mut Trail::new())
    }

    fn follow(
        &self,
        from: usize,
        path: &[String],
        module: bool,
        trail: &mut Trail,
    ) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let wants_module = module || !rest.is_empty();
        let start = match first.as_str() {
            "crate" => Target::Module(self.root(from)),
            "self" => Target::Module(from),
            "super" => Target::Module(self.modules[from].parent?),
            name => match self.find(from, name, wants_module, trail) {
                Some(found) => found,
                None if *name == self.name => Target::Module(self.library?),
                None => return None,
            },
        };
        self.walk(start, rest, module, trail)
    }

    fn walk(
        &self,
        start: Target,
        rest: &[String],
        module: bool,
        trail: &mut Trail,
    ) -> Option<Target> {
        let (Target::Module(at), Some((next, rest))) = (&start, rest.split_first()) else {
            return Some(start);
        };
        if next == "super" {
            let parent = Target::Module(self.modules[*at].parent?);
            return self.walk(parent, rest, module, trail);
        }
        let found = self.find(*at, next, module || !rest.is_empty(), trail);
        // An item from a macro or from outside: this module is the best approximation.
        let found = found.unwrap_or_else(|| Target::Item(self.modules[*at].file, next.clone()));
        self.walk(found, rest, module, trail)
    }

    /// Resolves a name in a module.
    fn find(&self, at: usize, name: &str, module: bool, trail: &mut Trail) -> Option<Target> {
        let scope = &self.modules[at];
        let child = scope.children.get(name).map(|child| Target::Module(*child));
        if module && child.is_some() {
            return child;
        }
        if scope.items.contains(name) {
            return Some(Target::Item(scope.file, name.to_owned()));
        }
        let here = (at, name.to_owned(), module);
        if trail.contains(&here) {
            return None;
        }
        trail.push(here);
        let imported = self.imported(at, scope, name, module, trail);
        trail.pop();
        imported.or(child)
    }

    fn imported(
        &self,
        at: usize,
        scope: &Module,
        name: &str,
        module: bool,
        trail: &mut Trail,
    ) -> Option<Target> {
        let mut named = scope.imports.iter().filter(|import| import.name == name);
        let named = named.find_map(|import| self.follow(at, &import.path, module, trail));
        let mut all = scope.imports.iter().filter(|import| import.name == "*");
        named.or_else(|| {
            all.find_map(|import| match self.follow(at, &import.path, true, trail)? {
                Target::Module(from) => self.find(from, name, module, trail),
                Target::Item(..) => None,
            })
        })
    }

    /// The module of `lib.rs` or `main.rs` that a module belongs to.
    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }
}
