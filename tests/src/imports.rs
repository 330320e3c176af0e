//! Which file of a crate imports which, read from the sources: `use` declarations and paths that begin with `crate`,
//! `super` or `self`. A re-export counts as an import from its origin. Unit tests do not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::helm::read;
use crate::sources::sources;

/// A module by its path below the crate, such as `["ledger", "event"]`; the crate itself is empty.
type Module = Vec<String>;

/// The segments of a path in a source, such as `["crate", "ledger", "Event"]`.
type Path = Vec<String>;

#[derive(Debug, Default)]
struct Source {
    /// Paths that are imported or named.
    used: Vec<Path>,
    /// Its re-exports: name and path.
    offered: Vec<(String, Path)>,
}

/// A word, `::`, or one character.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            character(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let length = end.unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".into());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a raw string at the start of a text.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let marks = rest.len() - rest.trim_start_matches('#').len();
    rest[marks..].starts_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(marks));
    let begun = text.len() - rest.len() + marks + 1;
    let found = text[begun..].find(&end)?;
    Some(begun + found + end.len())
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal, or the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), _) => text[2..]
            .char_indices()
            .skip(1)
            .find(|(_, letter)| *letter == '\'')
            .map_or(1, |(at, _)| at + 3),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// The tokens without modules for unit tests.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].len() > mark.len() && tokens[at..at + mark.len()] == mark {
            at += mark.len();
            // To the end of the item: its body, or its semicolon.
            let mut depth = 0_usize;
            while at < tokens.len() {
                match tokens[at].as_str() {
                    "{" => depth += 1,
                    "}" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                let is_over = depth == 0 && (tokens[at] == "}" || tokens[at] == ";");
                at += 1;
                if is_over {
                    break;
                }
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Expands a tree of imports into paths, each with its name.
fn unfold(tokens: &[String], at: &mut usize, before: &Path, found: &mut Vec<(String, Path)>) {
    let mut path = before.clone();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.as_str() {
            "::" => {}
            "{" => {
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    unfold(tokens, at, &path, found);
                    if tokens.get(*at).is_some_and(|token| token == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "as" => {
                let name = tokens.get(*at).cloned().unwrap_or_default();
                *at += 1;
                found.push((name, path));
                return;
            }
            "," | "}" | ";" => {
                *at -= 1;
                break;
            }
            word => path.push(word.to_owned()),
        }
    }
    // `self` in braces is the module itself.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if path.len() > before.len() || !before.is_empty() {
        let name = path.last().cloned().unwrap_or_default();
        found.push((name, path));
    }
}

fn parse(text: &str) -> Source {
    let tokens = without_tests(&tokens(text));
    let mut source = Source::default();
    let mut at = 0;
    while at < tokens.len() {
        let is_path = |token: &str| ["crate", "super", "self"].contains(&token);
        if tokens[at] == "use" {
            let is_offered = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            at += 1;
            let mut found = Vec::new();
            unfold(&tokens, &mut at, &Path::new(), &mut found);
            if is_offered {
                source.offered.extend(found);
            } else {
                source.used.extend(found.into_iter().map(|(_, path)| path));
            }
        } else if is_path(&tokens[at]) && tokens.get(at + 1).is_some_and(|next| next == "::") {
            let mut path = vec![tokens[at].clone()];
            at += 1;
            while tokens.get(at).is_some_and(|token| token == "::")
                && tokens
                    .get(at + 1)
                    .is_some_and(|next| next.starts_with(|first: char| first.is_alphabetic()))
            {
                path.push(tokens[at + 1].clone());
                at += 2;
            }
            source.used.push(path);
        } else {
            at += 1;
        }
    }
    source
}

/// Nodes that reach one another, each such set in order.
fn circles<N: Ord + Clone + ToString>(edges: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<String>> {
    let reach = |start: &N| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&N> = edges[start].iter().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next.clone()) {
                open.extend(&edges[next]);
            }
        }
        seen
    };
    let reached: BTreeMap<&N, BTreeSet<N>> = edges.keys().map(|node| (node, reach(node))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (node, others) in &reached {
        let around = others
            .iter()
            .filter(|other| reached[*other].contains(*node));
        let around: Vec<String> = around.map(ToString::to_string).collect();
        if !around.is_empty() {
            found.insert(around);
        }
    }
    found.into_iter().collect()
}

/// The files of a crate, and what each imports of the crate's others.
#[derive(Debug, Default)]
pub struct Imports {
    sources: BTreeMap<Module, Source>,
    files: BTreeMap<Module, String>,
}

impl Imports {
    /// The files below a folder, such as `crds/src`.
    pub fn of(folder: &str) -> Self {
        let mut imports = Self::default();
        for file in sources(folder) {
            let below = file.strip_prefix(folder).expect("a file of the folder");
            let below = below.trim_start_matches('/').trim_end_matches(".rs");
            let mut module: Module = below.split('/').map(str::to_owned).collect();
            if module
                .last()
                .is_some_and(|last| last == "mod" || last == "lib")
            {
                module.pop();
            }
            imports.sources.insert(module.clone(), parse(&read(&file)));
            imports.files.insert(module, file);
        }
        imports
    }

    /// Resolves a path that is written in `from`: the module, and the names below it.
    fn locate(&self, from: &Module, path: &[String]) -> Option<(Module, Path)> {
        let mut module = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                module.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            // A child module, or another crate.
            first => {
                let mut child = module.clone();
                child.push(first.to_owned());
                self.sources.contains_key(&child).then_some(())?;
            }
        }
        while rest.first().is_some_and(|first| first == "super") {
            module.pop()?;
            rest = &rest[1..];
        }
        while let Some(first) = rest.first() {
            let mut child = module.clone();
            child.push(first.clone());
            if !self.sources.contains_key(&child) {
                break;
            }
            module = child;
            rest = &rest[1..];
        }
        Some((module, rest.to_vec()))
    }

    /// The module that defines what a path names, through re-exports.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (module, rest) = self.locate(from, path)?;
        let Some(name) = rest.first() else {
            return Some(module);
        };
        let source = self.sources.get(&module)?;
        let mut offered = source.offered.iter();
        if depth < 8
            && let Some((_, target)) = offered.find(|(offered, _)| offered == name)
        {
            return self.resolve(&module, target, depth + 1);
        }
        Some(module)
    }

    /// The modules that a module imports.
    fn imported(&self, module: &Module) -> BTreeSet<Module> {
        let source = &self.sources[module];
        let found = source
            .used
            .iter()
            .filter_map(|path| self.resolve(module, path, 0));
        found.filter(|other| other != module).collect()
    }

    /// Sets of files that import one another in a circle.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, file) in &self.files {
            let imported = self.imported(module).into_iter();
            let imported = imported.map(|other| self.files[&other].as_str());
            edges.entry(file).or_default().extend(imported);
        }
        circles(&edges)
    }

    /// The same of the modules below the crate's root, each with all that is below it.
    pub fn circles_of_modules(&self) -> Vec<Vec<String>> {
        let first = |module: &Module| module.first().cloned().unwrap_or_default();
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for module in self.sources.keys() {
            let imported = self.imported(module);
            let others = imported.iter().map(first);
            let others = others.filter(|other| *other != first(module));
            edges.entry(first(module)).or_default().extend(others);
        }
        circles(&edges)
    }

    /// The files that import a module below `room`, such as `["train"]`.
    pub fn importers(&self, room: &[&str]) -> Vec<String> {
        let enters = |module: &Module| {
            module.len() >= room.len() && room.iter().zip(module).all(|(one, other)| one == other)
        };
        let from_outside = self.sources.keys().filter(|module| !enters(module));
        from_outside
            .filter(|module| self.imported(module).iter().any(enters))
            .map(|module| self.files[module].clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(files: &[(&str, &str)]) -> Imports {
        let mut imports = Imports::default();
        for (module, text) in files {
            let module: Module = module
                .split('/')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect();
            imports.files.insert(module.clone(), module.join("/"));
            imports.sources.insert(module, parse(text));
        }
        imports
    }

    #[test]
    fn a_circle_is_found_through_imports_paths_and_re_exports() {
        let circle = crate_of(&[
            ("", "mod a; mod b; mod c; pub use c::Third;"),
            ("a", "use crate::b::{self, Second as Other};"),
            ("b", "fn f() -> crate::Third { super::c::third() }"),
            ("c", "use super::a::First; // use crate::d;"),
        ]);
        assert_eq!(circle.circles(), [["a", "b", "c"]]);
        assert_eq!(circle.importers(&["c"]), ["b"]);
    }

    #[test]
    fn a_circle_between_folders_is_found_where_their_files_have_none() {
        let tree = crate_of(&[
            ("", "mod a; mod b;"),
            ("a", "mod first; mod third;"),
            ("a/first", "use crate::b::Second;"),
            ("a/third", "pub struct Third;"),
            ("b", "use crate::a::third::Third;"),
        ]);
        assert_eq!(tree.circles(), Vec::<Vec<String>>::new());
        assert_eq!(tree.circles_of_modules(), [["a", "b"]]);
    }

    #[test]
    fn what_tests_comments_and_texts_name_is_no_import() {
        let tree = crate_of(&[
            ("", "pub mod a; pub mod b; pub use a::First;"),
            (
                "a",
                "pub struct First; const TEXT: &str = \"crate::b\"; const MARK: char = '\"';",
            ),
            (
                "b",
                "use crate::First; #[cfg(test)] mod tests { use crate::b::Second; }",
            ),
        ]);
        assert_eq!(tree.circles(), Vec::<Vec<String>>::new());
        let tested = crate_of(&[
            ("", "mod a; mod b;"),
            ("a", "#[cfg(test)] mod tests { use crate::b; }"),
            (
                "b",
                "use crate::a::First; const RAW: &str = r#\"crate::a \" \"#;",
            ),
        ]);
        assert_eq!(tested.circles(), Vec::<Vec<String>>::new());
    }
}
