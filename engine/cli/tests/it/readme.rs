//! The stage reference in `operators/README.md` is the one the code gives.
use pipeline::catalogue;
use std::fmt::Write;
use testkit::project;

const BEGIN: &str = "<!-- stages -->\n";
const END: &str = "<!-- /stages -->";

/// The catalogue as Markdown: a table per stage that has keys.
fn markdown() -> String {
    let mut text = String::new();
    for stage in catalogue() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "**`{}`** {}\n\n```toml\n{}\n```\n", stage.name(), stage.doc, stage.example);
        if stage.fields.is_empty() {
            continue;
        }
        text.push_str("| key | what | default | |\n|---|---|---|---|\n");
        for field in &stage.fields {
            let default = match (&field.default, field.required) {
                (_, true) => "required".to_owned(),
                (Some(default), _) => format!("`{default}`"),
                (None, _) => "none".to_owned(),
            };
            let cell = |text: &str| text.replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {} | {default} | {} |", field.name, cell(&field.kind), cell(&field.doc));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// `WEATHERFLOW_UPDATE=1` writes the table into the README instead of comparing it.
#[test]
fn the_readme_lists_every_stage() {
    let path = project().join("operators/README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find(BEGIN).map(|at| at + BEGIN.len());
    let end = readme.find(END);
    let (Some(begin), Some(end)) = (begin, end) else { panic!("operators/README.md has no {BEGIN}...{END}") };
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
        "operators/README.md is behind the code; WEATHERFLOW_UPDATE=1 brings it up"
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
