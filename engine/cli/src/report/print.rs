//! Text for a person at a terminal, or for a program that reads it.

use super::words::printed_lines;
use console::Term;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long the last words may take where nobody reads them.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// What was asked for could not be printed: the disk it goes to is full.
#[derive(Debug)]
pub(crate) struct Unprinted(pub(crate) io::Error);

/// Whether something was printed.
pub(crate) type Said = Result<(), Unprinted>;

/// Prints text and a line break, if it has none. A reader that has hung up, as `head` does, is no reason to stop.
pub(crate) fn say(text: impl Display) -> Said {
    let text = text.to_string();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(io::stdout(), "{text}{end}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Unprinted(error)),
        _ => Ok(()),
    }
}

/// Prints sentences, broken between words where the terminal ends, with what follows under what was begun.
pub(crate) fn tell(text: impl Display) -> Said {
    say(folded(&text.to_string(), &Term::stdout()))
}

/// The same beside what was asked for, on standard error; what somebody else wrote in it is made plain.
pub(crate) fn tell_aside(text: impl Display) {
    say_aside(&folded(&printed_lines(&text.to_string()), &Term::stderr()));
}

/// Prints text on standard error, where nothing is left to say it to when that fails.
pub(crate) fn say_aside(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Runs what has the last words of a run, which must end also where nobody takes them.
pub(crate) fn briefly(words: impl FnOnce() + Send + 'static) {
    let (saying, said) = channel::<()>();
    let speak = move || {
        let _saying = saying;
        words();
    };
    if std::thread::Builder::new().name("last words".to_owned()).spawn(speak).is_ok() {
        let _ = said.recv_timeout(LAST_WORDS);
    }
}

pub(super) fn folded(text: &str, terminal: &Term) -> String {
    let Some((_, columns)) = terminal.size_checked() else { return text.to_owned() };
    text.lines().map(|line| fold(line, columns.into())).collect::<Vec<_>>().join("\n")
}

/// A line in as many as it takes.
fn fold(line: &str, width: usize) -> String {
    let indent = line.len() - line.trim_start().len();
    let under = " ".repeat(indent + 2);
    textwrap::fill(line, textwrap::Options::new(width).subsequent_indent(&under).break_words(false))
}

/// Columns of the terminal that is printed to; 80 elsewhere.
pub(crate) fn width() -> usize {
    Term::stdout().size_checked().map_or(80, |(_, columns)| columns.into())
}

/// Columns of a page of text: beyond so many, lines are hard to read.
pub(crate) fn page_width() -> usize {
    width().min(100)
}

/// Text behind a label, its lines broken at the width of a terminal and elsewhere left whole for other programs.
pub(super) fn beside(label: &str, text: &str) -> String {
    let indent = " ".repeat(console::measure_text_width(label));
    let width = if io::stdout().is_terminal() { width() } else { usize::MAX };
    let options = textwrap::Options::new(width).subsequent_indent(&indent).break_words(false);
    // The label may hold colours, which a line break must not count.
    let lines = textwrap::fill(&format!("{indent}{text}"), options);
    format!("{label}{}\n", lines.get(indent.len()..).unwrap_or_default())
}
