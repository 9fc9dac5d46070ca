//! `stages`: what a flow can be made of, from the same source as operators/README.md.

use super::Failed;
use crate::report::{page_width, say};
use console::style;
use pipeline::{FieldDoc, StageDoc, catalogue, did_you_mean, slots};
use textwrap::{Options, fill};

/// What stands below the list.
const LAST: &str = "weatherflow stages NAME shows the settings of one, with an example. Any value may also be \
    { env = \"NAME\", default = \"...\" } or { file = \"PATH\" }.";

pub(crate) fn stages(name: Option<&str>) -> Result<(), Failed> {
    let all = catalogue();
    let width = page_width();
    let Some(name) = name else {
        return Ok(say(list(&all, width))?);
    };
    let named: Vec<_> = all.iter().filter(|stage| stage.name() == name || stage.kind == name).collect();
    if named.is_empty() {
        return Err(Failed::Usage(unknown(name, &all)));
    }
    let pages: Vec<_> = named.into_iter().map(|stage| page(stage, width)).collect();
    Ok(say(pages.join("\n"))?)
}

/// One line a stage, slot by slot.
fn list(all: &[StageDoc], width: usize) -> String {
    let mut text = String::new();
    for (slot, doc) in slots() {
        text += &format!("{}  {doc}\n", style(slot).bold());
        for stage in all.iter().filter(|stage| stage.slot == slot) {
            let kind = format!("  {:<13}", stage.kind);
            let line = Options::new(width).initial_indent(&kind).subsequent_indent("               ");
            text += &fill(&stage.brief, line);
            text.push('\n');
        }
        text.push('\n');
    }
    text + &fill(LAST, width) + "\n"
}

/// All that is known about a stage.
fn page(stage: &StageDoc, width: usize) -> String {
    let mut text = format!("{}\n", style(stage.name()).bold());
    text += &fill(&stage.doc, indented("  ", width));
    text.push('\n');
    if stage.fields.is_empty() {
        text += "\n  It has no settings.\n";
    }
    for field in &stage.fields {
        text.push('\n');
        text += &setting(field, "", width);
    }
    text + "\n  Example:\n\n" + &textwrap::indent(&stage.example, "    ") + "\n"
}

/// A key, and those below it, as `tls.mode`.
fn setting(field: &FieldDoc, above: &str, width: usize) -> String {
    let name = format!("{above}{}", field.name);
    let default = match (&field.default, field.required) {
        (_, true) => "; required".to_owned(),
        (Some(default), _) => format!("; default {default}"),
        (None, _) => String::new(),
    };
    let mut text = fill(&format!("{}: {}{default}", style(&name).cyan(), field.kind), indented("  ", width));
    text.push('\n');
    text += &fill(&field.doc, indented("      ", width));
    text.push('\n');
    for (word, meaning) in field.words.iter().filter(|(_, meaning)| !meaning.is_empty()) {
        text += &fill(&format!("`{word}`: {meaning}"), indented("      ", width).subsequent_indent("          "));
        text.push('\n');
    }
    for part in &field.fields {
        text += &setting(part, &format!("{name}."), width);
    }
    text
}

fn indented(indent: &str, width: usize) -> Options<'_> {
    Options::new(width).initial_indent(indent).subsequent_indent(indent)
}

fn unknown(name: &str, all: &[StageDoc]) -> String {
    let names: Vec<_> = all.iter().map(StageDoc::name).collect();
    let known = names.iter().map(String::as_str).chain(all.iter().map(|stage| stage.kind.as_str()));
    let meant = did_you_mean(name, known);
    format!("there is no stage `{name}`{meant}\n\nthe stages are: {}", names.join(", "))
}
