//! A new pipeline file, written from the catalogue: each stage's example, and its other settings as comments.

use crate::catalogue::stages::{FieldDoc, StageDoc, catalogue};
use std::fmt::Write;

/// Columns of a comment.
const WIDTH: usize = 100;

/// Kinds of source and sink whose rows are messages: bytes in a column `value`.
const MESSAGES: [&str; 2] = ["kafka", "topic"];

/// The text of a pipeline with one flow from a source to a sink, with what they need between them.
pub fn template(name: &str, source: &str, sink: &str) -> String {
    let mut stages = vec![("source", source)];
    if MESSAGES.contains(&source) {
        stages.push(("decode", "json"));
    }
    if MESSAGES.contains(&sink) {
        stages.extend([("encode", "json"), ("partition", "key")]);
    }
    stages.push(("sink", sink));

    let mut text = format!(
        "name = \"{name}\"\n\n\
         # Memory that the process stays within.\n\
         #memory = \"256MiB\"\n\n\
         # A pipeline has one flow or more, and each begins with [[flow]].\n\
         [[flow]]\n\
         name = \"{source}-to-{sink}\"\n\
         # An epoch closes, and its rows are committed, at the first of `every`, `rows` and `bytes`.\n\
         commit = {{ every = \"10s\" }}\n"
    );
    let all = catalogue();
    for (slot, kind) in stages {
        for stage in all.iter().filter(|stage| stage.slot == slot && stage.kind == kind) {
            text.push('\n');
            text += &section(stage);
        }
    }
    text
}

fn section(stage: &StageDoc) -> String {
    let mut text = comment(&stage.doc) + &stage.example + "\n";
    let given = |field: &&FieldDoc| stage.example.lines().any(|line| line.split(' ').next() == Some(&field.name));
    for field in stage.fields.iter().filter(|field| !given(field)) {
        let default = field.default.as_deref().unwrap_or("...");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}#{} = {default}", comment(&field.doc), field.name);
    }
    text
}

fn comment(text: &str) -> String {
    textwrap::fill(text, textwrap::Options::new(WIDTH).initial_indent("# ").subsequent_indent("# ")) + "\n"
}
