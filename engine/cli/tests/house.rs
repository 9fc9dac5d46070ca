//! The rules of the house: which crate may know what, how long a file may be, what lies at the top.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn rust_files(below: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no Rust files below {below}");
    files
}

/// Lines of code, with their places.
fn lines(file: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| wanted(line))
        .map(|(number, line)| format!("{}:{}: {}", file.display(), number + 1, line.trim()))
        .collect()
}

/// Lines of code, with their places, that contain a text.
fn containing(file: &Path, text: &str) -> Vec<String> {
    lines(file, |line| line.contains(text))
}

/// Lines of code, with their places, that name a crate or module as a whole word.
fn naming(file: &Path, word: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    lines(file, |line| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(is_word) && line[at + word.len()..].starts_with("::")
                || line.trim_start().starts_with(&format!("use {word};"))
        })
    })
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn operators_never_name_timely() {
    let found: Vec<_> = rust_files("operators/src").iter().flat_map(|file| naming(file, "timely")).collect();
    assert_none(&found, "operators know nothing of time");
    let manifest = fs::read_to_string(root().join("operators/Cargo.toml")).unwrap();
    assert!(
        !manifest.contains("timely") && !manifest.contains("engine"),
        "operators depend on what they must not know"
    );
}

#[test]
fn the_engine_never_looks_inside_a_batch() {
    let manifest = fs::read_to_string(root().join("engine/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
    for name in ["arrow", "parquet", "rdkafka", "sqlx", "prost", "prost_reflect", "hdfs_native"] {
        let found: Vec<_> = rust_files("engine/src").iter().flat_map(|file| naming(file, name)).collect();
        assert_none(&found, "the engine knows nothing of rows and places");
        assert!(!dependencies.contains(&format!("\n{}", name.replace('_', "-"))), "the engine depends on {name}");
    }
}

#[test]
fn timely_stays_in_the_dataflow_folder() {
    let files =
        rust_files("engine/src").into_iter().filter(|file| !file.starts_with(root().join("engine/src/dataflow")));
    let found: Vec<_> = files.flat_map(|file| naming(&file, "timely")).collect();
    assert_none(&found, "only the dataflow folder names timely");
}

/// What leaves a worker is on the list in `dataflow/exchange.rs`, whose test sends it through the wire form.
#[test]
fn only_listed_records_leave_a_worker() {
    let files = rust_files("engine/src/dataflow").into_iter().filter(|file| !file.ends_with("exchange.rs"));
    let ways = ["pact::Exchange", "Exchange::new", ".exchange(", ".broadcast("];
    let found = files.flat_map(|file| ways.iter().flat_map(move |way| containing(&file, way)));
    assert_none(&found.collect::<Vec<_>>(), "exchange records with the functions of dataflow/exchange.rs");
}

/// Bincode, which timely uses between processes, cannot read a value with a field left out.
#[test]
fn no_field_of_operators_is_left_out_when_it_is_written() {
    let found = rust_files("operators/src").into_iter().flat_map(|file| containing(&file, "skip_serializing"));
    assert_none(&found.collect::<Vec<_>>(), "write every field, and read a missing one with #[serde(default)]");
}

#[test]
fn stages_never_import_each_other() {
    let kinds = ["source", "decode", "transform", "encode", "partition", "sink"];
    let mut found = Vec::new();
    for kind in kinds {
        let folder = format!("operators/src/{kind}");
        let index = fs::read_to_string(root().join(&folder).join("mod.rs")).unwrap();
        let stages: Vec<_> =
            index.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        assert!(!stages.is_empty(), "{folder} has no stages");
        for file in rust_files(&folder) {
            found.extend(kinds.iter().flat_map(|other| naming(&file, &format!("crate::{other}"))));
            let siblings = stages.iter().flat_map(|stage| naming(&file, &format!("super::{stage}")));
            found.extend(siblings);
        }
    }
    assert_none(&found, "what stages share has a module of its own");
}

#[test]
fn files_are_short() {
    let files = ["engine", "operators"].into_iter().flat_map(rust_files);
    let long = files.filter_map(|file| {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", file.display()))
    });
    assert_none(&long.collect::<Vec<_>>(), "a file over 400 lines has a seam somewhere");
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let agreed =
        ["Cargo.toml", "Cargo.lock", "engine", "operators", "pipelines", "proto", "docker", "README.md", "LICENSE"];
    // What a build, a run or an editor leaves there is ignored by git.
    let ignored = ["target", "data"];
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strange = entries
        .filter(|name| !name.starts_with('.') && !agreed.contains(&name.as_str()) && !ignored.contains(&name.as_str()));
    assert_none(&strange.collect::<Vec<_>>(), "not agreed at the top level");
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "engine",
        "operators",
        "pipelines",
        "proto",
        "docker",
        "README.md",
        "LICENSE",
        ".ci/run",
    ] {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}
