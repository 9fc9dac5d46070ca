//! No file of a crate needs a file that needs it, directly or through others.

use super::{assert_none, files, project, rust_files};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Where a file stands in its crate: `report::print`.
type Module = Vec<String>;

type Needs = BTreeMap<Module, BTreeSet<Module>>;

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single other characters; comments and what tests alone need are left out.
fn tokens(text: &str) -> Vec<&str> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut found = Vec::new();
    for line in text.lines().map(|line| line.split("//").next().unwrap()) {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if is_name(rest) => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (token, more) = rest.split_at(length);
            found.push(token);
            rest = more.trim_start();
        }
    }
    found
}

/// Adds the path that begins at a token, or the several of a list in braces; gives the token after it.
fn path<'t>(tokens: &[&'t str], mut at: usize, mut names: Vec<&'t str>, found: &mut Vec<Vec<&'t str>>) -> usize {
    while let Some(token) = tokens.get(at) {
        if *token == "{" && !names.is_empty() {
            at += 1;
            while tokens.get(at).is_some_and(|token| *token != "}") {
                at = path(tokens, at, names.clone(), found);
                while tokens.get(at).is_some_and(|token| !["}", ","].contains(token)) {
                    at += 1;
                }
                at += usize::from(tokens.get(at) == Some(&","));
            }
            return at + 1;
        }
        if !is_name(token) {
            break;
        }
        names.push(token);
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    found.push(names);
    at
}

/// All paths of more than one name.
fn paths<'t>(tokens: &[&'t str]) -> Vec<Vec<&'t str>> {
    let (mut at, mut found) = (0, Vec::new());
    while at < tokens.len() {
        let begins = is_name(tokens[at]) && tokens.get(at + 1) == Some(&"::");
        at = if begins { path(tokens, at, Vec::new(), &mut found) } else { at + 1 };
    }
    found
}

/// The module that a path leads to, as seen from another; nothing outside of the crate.
fn target(from: &[String], path: &[&str], all: &BTreeSet<Module>) -> Option<Module> {
    let child = |at: &[String], name: &str| [at, &[name.to_owned()]].concat();
    let (mut at, mut rest) = match path {
        ["crate", rest @ ..] => (Vec::new(), rest),
        ["self" | "super", ..] => (from.to_vec(), path),
        [name, ..] if all.contains(&child(from, name)) => (from.to_vec(), path),
        _ => return None,
    };
    while let [name, more @ ..] = rest {
        match *name {
            "self" => {}
            "super" => drop(at.pop()),
            name if all.contains(&child(&at, name)) => at = child(&at, name),
            _ => break,
        }
        rest = more;
    }
    Some(at)
}

fn module(file: &Path, src: &Path) -> Module {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    let is_index = |name: &&String| ["lib", "main", "mod"].contains(&name.as_str());
    names[..names.len() - names.iter().next_back().filter(is_index).iter().len()].to_vec()
}

/// What each file of a crate needs of the same crate.
fn needs(src: &str) -> Needs {
    let folder = project().join(src);
    let of_tests = |file: &Path| file.iter().any(|part| part == "tests.rs" || part == "tests");
    let files = rust_files(src).into_iter().filter(|file| !of_tests(file.strip_prefix(&folder).unwrap()));
    let files: Vec<_> = files.map(|file| (module(&file, &folder), fs::read_to_string(&file).unwrap())).collect();
    let all: BTreeSet<_> = files.iter().map(|(module, _)| module.clone()).collect();
    let needed = |(module, text): &(Module, String)| {
        let tokens = tokens(text);
        let targets = paths(&tokens).into_iter().filter_map(|path| target(module, &path, &all));
        (module.clone(), targets.filter(|target| target != module).collect())
    };
    files.iter().map(needed).collect()
}

/// The shortest way from a file through others back to itself.
fn way_back(start: &Module, needs: &Needs) -> Option<Vec<Module>> {
    let mut ways = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in &needs[way.last().unwrap()] {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push([&way[..], std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[test]
fn files_do_not_need_each_other() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for manifest in files("engine", |path| path.ends_with("Cargo.toml")) {
        let src = manifest.parent().unwrap().strip_prefix(project()).unwrap().join("src");
        let needs = needs(src.to_str().unwrap());
        seen += needs.values().map(BTreeSet::len).sum::<usize>();
        let named = |way: Vec<Module>| way.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" -> ");
        let ways = needs.keys().filter_map(|start| way_back(start, &needs));
        found.extend(ways.map(|way| format!("{}: {}", src.display(), named(way))));
    }
    assert!(seen > 150, "{seen} paths to other files are seen");
    assert_none(&found, "files that need each other belong together, or share a third");
}
