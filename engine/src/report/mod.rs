//! What people see of a run: what it will do, how it goes, what it did.
//!
//! | where it is seen | module |
//! |---|---|
//! | a terminal: a live table | `live`, `table` |
//! | a pipe or a file: a line per flow every few seconds | `log` |
//! | a program (`--log-format json`): an object a line | `json` |

pub(crate) mod connect;
pub(crate) mod graph;
mod json;
mod live;
mod log;
mod now;
pub(crate) mod standing;
pub(crate) mod summary;
mod table;

use crate::halt::{Failure, Halt};
use crate::meter::Meter;
use crate::plan::Plan;
use clap::{Args, ValueEnum};
use indicatif::HumanCount;
use now::Rate;
use operators::progress::Tally;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Prints text and a line break, if it has none. A reader that has hung up, as `head` does, is no reason to stop.
pub(crate) fn say(text: impl Display) {
    let text = text.to_string();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(std::io::stdout(), "{text}{end}");
}

/// Prints sentences, broken between words where the terminal ends, with what follows under what was begun.
pub(crate) fn tell(text: impl Display) {
    let Some((_, columns)) = console::Term::stdout().size_checked() else { return say(text) };
    let text = text.to_string();
    say(text.lines().map(|line| fold(line, columns.into())).collect::<Vec<_>>().join("\n"));
}

/// A line in as many as it takes.
fn fold(line: &str, width: usize) -> String {
    let indent = line.len() - line.trim_start().len();
    let under = " ".repeat(indent + 2);
    textwrap::fill(line, textwrap::Options::new(width).subsequent_indent(&under).break_words(false))
}

/// Columns of the terminal that is printed to; 80 elsewhere.
pub(crate) fn width() -> usize {
    console::Term::stdout().size_checked().map_or(80, |(_, columns)| columns.into())
}

/// Columns of a page of text: beyond so many, lines are hard to read.
pub(crate) fn page_width() -> usize {
    width().min(100)
}

/// Text behind a label, its lines broken at the width of a terminal and elsewhere left whole for other programs.
fn beside(label: &str, text: &str) -> String {
    let indent = " ".repeat(console::measure_text_width(label));
    let width = if std::io::stdout().is_terminal() { width() } else { usize::MAX };
    let options = textwrap::Options::new(width).subsequent_indent(&indent).break_words(false);
    // The label may hold colours, which a line break must not count.
    let lines = textwrap::fill(&format!("{indent}{text}"), options);
    format!("{label}{}\n", lines.get(indent.len()..).unwrap_or_default())
}

/// `1 row`, `3,000 rows`
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", HumanCount(number))
}

/// Rows that were read and not written, each kind behind a comma; nothing when there are none.
pub(crate) fn left_out(tally: &Tally) -> String {
    let kinds = [(tally.filtered, "filtered"), (tally.skipped, "skipped"), (tally.dead_letters, "dead letters")];
    let words = kinds.into_iter().filter(|(rows, _)| *rows > 0);
    words.map(|(rows, what)| format!(", {} {what}", HumanCount(rows))).collect()
}

/// Text of somebody else on one line: names of files and topics, and what servers say, may hold what a terminal obeys.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// The same in its lines.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// JSON as it was written, or its error as JSON: what reads JSON can read both.
pub(crate) fn json_or_error(written: serde_json::Result<String>) -> String {
    written.unwrap_or_else(|error| serde_json::json!({"error": error.to_string()}).to_string())
}

/// How the program talks to whoever started it.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Voice {
    /// Say nothing but what was asked for, and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// How a run, its log and its errors are written
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// For whom a run is described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs: a JSON object a line
    Json,
}

/// Flows to show, by name.
pub(crate) type Meters = Vec<(String, Arc<Meter>)>;

/// One way to show a run, from its beginning to its end.
trait Show: Send {
    /// Before anything runs; `page` is the live page's address.
    fn begin(&mut self, plan: &Plan, page: Option<&str>);
    /// All flows at one moment; called at every tick.
    fn show(&mut self, flows: &[now::Now]);
    /// A flow begins again from its last commit.
    fn trouble(&mut self, failure: &Failure);
    /// The run was asked to stop.
    fn stopping(&mut self);
    /// Nothing runs any more.
    fn end(&mut self, meters: &Meters, took: Duration, verify: &str);
}

/// How often flows are looked at.
const TICK: Duration = Duration::from_millis(250);

/// Shows a run while it goes.
pub(crate) struct Watch {
    began: Instant,
    meters: Meters,
    ticker: Option<Ticker>,
}

/// The thread that looks at the flows, until `end` hangs up.
struct Ticker {
    end: Sender<()>,
    thread: JoinHandle<Box<dyn Show>>,
}

impl Watch {
    /// Says what will run, and shows it from now on.
    pub(crate) fn start(voice: Voice, plan: Arc<Plan>, page: Option<String>, meters: Meters, halt: Arc<Halt>) -> Self {
        let began = Instant::now();
        let mut show: Box<dyn Show> = match voice {
            Voice { quiet: true, .. } => return Self { began, meters, ticker: None },
            Voice { log_format: LogFormat::Json, .. } => Box::new(json::Json::default()),
            _ if std::io::stdout().is_terminal() => Box::new(live::Live::new(meters.len())),
            _ => Box::new(log::Log::new(began)),
        };
        let (end, ended) = channel();
        let watched = meters.clone();
        // Whatever is printed is printed here: a terminal that stands still must not hold back a row.
        let watch = move || {
            show.begin(&plan, page.as_deref());
            let mut rates: Vec<_> = watched.iter().map(|_| Rate::new(began)).collect();
            let mut restarts = vec![0; watched.len()];
            let mut noted = false;
            loop {
                let is_over = ended.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout);
                if !noted && halt.is_stopping() && halt.failure().is_none() {
                    noted = true;
                    show.stopping();
                }
                if is_over {
                    return show;
                }
                let flows = watched.iter().zip(&mut rates);
                let flows: Vec<_> = flows.map(|((flow, meter), rate)| rate.now(flow, meter.read())).collect();
                for (flow, seen) in flows.iter().zip(&mut restarts) {
                    let reading = &flow.reading;
                    if let Some(trouble) = reading.trouble.as_ref().filter(|_| reading.restarts > *seen) {
                        show.trouble(trouble);
                    }
                    *seen = reading.restarts;
                }
                show.show(&flows);
            }
        };
        // A run is not worth less because nobody can watch it.
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(watch);
        Self { began, meters, ticker: thread.ok().map(|thread| Ticker { end, thread }) }
    }

    /// Sums up; `verify` is the command that proves it.
    pub(crate) fn end(self, verify: &str) {
        let Some(Ticker { end, thread }) = self.ticker else { return };
        drop(end);
        if let Ok(mut show) = thread.join() {
            show.end(&self.meters, self.began.elapsed(), verify);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::ser::Error;

    #[test]
    fn an_error_is_json_whatever_stands_in_it() {
        let error = "a \"key\" that is\nno text";
        let text = super::json_or_error(Err(serde_json::Error::custom(error)));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::json!({"error": error}));
    }
}
