//! What was seen of the servers of a flow.

use super::print::beside;
use super::words::printed_lines;
use console::style;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Fine,
    NotYet,
    Untold,
    Failed,
}

/// One thing that was asked.
pub(crate) struct Line {
    pub(crate) mark: Mark,
    pub(crate) text: String,
}

/// A stage and all that was asked for it.
pub(crate) struct Asked {
    pub(crate) stage: String,
    pub(crate) lines: Vec<Line>,
}

/// The stages of a flow, each with a line for each thing.
pub(crate) fn flow(name: &str, stages: &[Asked]) -> String {
    let mut text = format!("\n{}\n", style(name).bold());
    for Asked { stage, lines } in stages {
        text += &format!("  {stage}\n");
        for Line { mark, text: words } in lines {
            text += &beside(&format!("    {}  ", marked(*mark)), &printed_lines(words));
        }
    }
    text
}

/// In words, so that it can be read without colours too.
fn marked(mark: Mark) -> String {
    let word = |word: &str| format!("{word:<7}");
    match mark {
        Mark::Fine => style(word("ok")).green().to_string(),
        Mark::NotYet => style(word("not yet")).yellow().to_string(),
        Mark::Untold => style(word("unknown")).yellow().to_string(),
        Mark::Failed => style(word("FAILED")).red().bold().to_string(),
    }
}
