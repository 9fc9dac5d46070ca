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

use clap::{Args, ValueEnum};
use console::Term;
use indicatif::HumanCount;
use now::Rate;
use operators_core::progress::Tally;
use operators_core::terminal::printed;
use runtime::meter::Meter;
use runtime::plan::Plan;
use runtime::{Failure, Halt};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

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

fn folded(text: &str, terminal: &Term) -> String {
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
fn beside(label: &str, text: &str) -> String {
    let indent = " ".repeat(console::measure_text_width(label));
    let width = if io::stdout().is_terminal() { width() } else { usize::MAX };
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

/// Text of others in its lines, with nothing in it that a terminal obeys.
pub(crate) fn printed_lines(text: &str) -> String {
    text.lines().map(printed).collect::<Vec<_>>().join("\n")
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

/// One way to show a run, from its beginning to its end. A run is not worth less because nobody can watch it, so that what
/// could not be printed is left at that.
trait Show: Send {
    /// Before anything runs; `page` is the live page's address.
    fn begin(&mut self, plan: &Plan, page: Option<&str>) -> Said;
    /// All flows at one moment; called at every tick.
    fn show(&mut self, flows: &[now::Now]) -> Said;
    /// A flow begins again from its last commit.
    fn trouble(&mut self, failure: &Failure) -> Said;
    /// The run was asked to stop.
    fn stopping(&mut self) -> Said;
    /// Nothing runs any more.
    fn end(&mut self, meters: &Meters, took: Duration, verify: &str) -> Said;
}

/// How often flows are looked at.
const TICK: Duration = Duration::from_millis(250);

/// How long the last words may take where nobody reads them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Shows a run while it goes.
pub(crate) struct Watch {
    /// Nothing when nobody is told anything.
    watcher: Option<Watcher>,
}

/// The thread that looks at the flows, as the rest of the program sees it.
struct Watcher {
    /// Takes the command that proves what the run did, when it has ended.
    ended: Sender<String>,
    /// Hung up when all is said.
    said: Receiver<()>,
}

impl Watch {
    /// Says what will run, and shows it from now on.
    pub(crate) fn start(voice: Voice, plan: Arc<Plan>, page: Option<String>, meters: Meters, halt: Arc<Halt>) -> Self {
        let began = Instant::now();
        let mut show: Box<dyn Show> = match voice {
            Voice { quiet: true, .. } => return Self { watcher: None },
            Voice { log_format: LogFormat::Json, .. } => Box::new(json::Json::default()),
            _ if io::stdout().is_terminal() => Box::new(live::Live::new(meters.len())),
            _ => Box::new(log::Log::new(began)),
        };
        let (ended, end) = channel::<String>();
        let (saying, said) = channel();
        // Whatever is printed is printed here: a terminal that stands still must not hold back a row.
        let watch = move || {
            let _saying: Sender<()> = saying;
            let _ = show.begin(&plan, page.as_deref());
            let mut rates: Vec<_> = meters.iter().map(|_| Rate::new(began)).collect();
            let mut restarts = vec![0; meters.len()];
            let mut noted = false;
            loop {
                let end = end.recv_timeout(TICK);
                if !noted && halt.is_stopping() && halt.failure().is_none() {
                    noted = true;
                    let _ = show.stopping();
                }
                let flows = meters.iter().zip(&mut rates);
                let flows: Vec<_> = flows.map(|((flow, meter), rate)| rate.now(flow, meter.read())).collect();
                for (flow, seen) in flows.iter().zip(&mut restarts) {
                    let troubles = flow.reading.troubles.iter().filter(|trouble| trouble.restart > Some(*seen));
                    troubles.for_each(|trouble| _ = show.trouble(&trouble.failure));
                    *seen = flow.reading.restarts;
                }
                let has_ended = end.is_ok();
                let _ = match end {
                    Err(RecvTimeoutError::Timeout) => show.show(&flows),
                    Err(RecvTimeoutError::Disconnected) => return,
                    // Whoever looked away sees how each flow ended.
                    Ok(verify) => show.show(&flows).and_then(|()| show.end(&meters, began.elapsed(), &verify)),
                };
                if has_ended {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(watch);
        Self { watcher: thread.is_ok().then_some(Watcher { ended, said }) }
    }

    /// Sums up; `verify` is the command that proves it.
    pub(crate) fn end(self, verify: String) {
        let Some(Watcher { ended, said }) = self.watcher else { return };
        if ended.send(verify).is_ok() {
            // Hung up, or stuck: a run that is over must not wait for a reader.
            let _ = said.recv_timeout(LAST_WORDS);
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
