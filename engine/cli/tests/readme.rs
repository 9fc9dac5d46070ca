//! The README's table of stages is the one the code gives.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pipeline::{catalogue, markdown};
use std::path::Path;

const BEGIN: &str = "<!-- stages -->\n";
const END: &str = "<!-- /stages -->";

/// `WEATHERFLOW_UPDATE=1` writes the table into the README instead of comparing it.
#[test]
fn the_readme_lists_every_stage() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find(BEGIN).map(|at| at + BEGIN.len());
    let end = readme.find(END);
    let (Some(begin), Some(end)) = (begin, end) else { panic!("README.md has no {BEGIN}...{END}") };
    let expected = markdown();
    if std::env::var_os("WEATHERFLOW_UPDATE").is_some_and(|set| set == "1") {
        std::fs::write(&path, format!("{}\n{expected}\n{}", &readme[..begin], &readme[end..])).unwrap();
        return;
    }
    println!(
        "{} stages with {} keys",
        catalogue().len(),
        catalogue().iter().map(|stage| stage.fields.len()).sum::<usize>()
    );
    assert_eq!(
        readme[begin..end].trim(),
        expected.trim(),
        "README.md is behind the code; WEATHERFLOW_UPDATE=1 brings it up"
    );
}

#[test]
fn every_stage_and_key_says_what_it_is() {
    let stages = catalogue();
    assert!(stages.len() >= 14, "{} stages", stages.len());
    for stage in &stages {
        assert!(!stage.doc.is_empty(), "{}.{} has no words", stage.slot, stage.kind);
        for field in &stage.fields {
            assert!(!field.doc.is_empty(), "{}.{}: {} has no words", stage.slot, stage.kind, field.name);
        }
    }
}
