//! What people see of a run: what it will do, how it goes, what it did.

pub(crate) mod connect;
pub(crate) mod graph;
mod live;
mod log;
pub(crate) mod standing;
pub(crate) mod summary;

use crate::halt::Halt;
use crate::meter::Meter;
use indicatif::HumanCount;
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

/// Columns of the terminal that is printed to; 80 elsewhere.
pub(crate) fn width() -> usize {
    console::Term::stdout().size_checked().map_or(80, |(_, columns)| columns.into())
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

/// `1 flow`, `3 flows`
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Flows to show, by name.
pub(crate) type Meters = Vec<(String, Arc<Meter>)>;

/// Shows a run while it goes: live lines on a terminal, a line every few seconds elsewhere.
pub(crate) struct Watch {
    end: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

/// How often flows are looked at.
const TICK: Duration = Duration::from_millis(250);

/// Something that can show all flows at one moment; asked at every tick.
trait Show: Send {
    fn show(&mut self, flows: &[Line]);
    /// Says something once, above what is shown.
    fn note(&mut self, text: &str);
    /// The last note: the run was asked to stop.
    fn stopping(&mut self, text: &str) {
        self.note(text);
    }
    fn end(&mut self) {}
}

impl Watch {
    pub(crate) fn start(meters: Meters, began: Instant, halt: Arc<Halt>) -> Self {
        let (end, ended) = channel();
        let mut show: Box<dyn Show> = if std::io::stdout().is_terminal() {
            Box::new(live::Live::new(meters.len()))
        } else {
            Box::new(log::Log::new(began))
        };
        let mut rates: Vec<_> = meters.iter().map(|_| Rate { rows: 0, at: began, smooth: 0.0 }).collect();
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(move || {
            let mut noted = false;
            let mut restarts = vec![0; meters.len()];
            loop {
                let is_over = ended.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout);
                if !noted && halt.is_stopping() && halt.failure().is_none() {
                    noted = true;
                    show.stopping(
                        "stopping: committing what is open; Ctrl-C once more stops at once, which is safe too",
                    );
                }
                if is_over {
                    break;
                }
                for ((name, meter), seen) in meters.iter().zip(&mut restarts) {
                    let reading = meter.read();
                    if let Some(trouble) = reading.trouble.filter(|_| reading.restarts > *seen) {
                        show.note(&format!("{name}: {}; trying again from the last commit", trouble.reason));
                    }
                    *seen = reading.restarts;
                }
                let lines: Vec<_> =
                    meters.iter().zip(&mut rates).map(|((name, meter), rate)| Line::new(name, meter, rate)).collect();
                show.show(&lines);
            }
            show.end();
        });
        Self { end, thread: thread.ok() }
    }

    pub(crate) fn end(mut self) {
        let _ = self.end.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Rows per second, smoothed over a few looks so that it can be read.
struct Rate {
    rows: u64,
    at: Instant,
    smooth: f64,
}

impl Rate {
    fn update(&mut self, rows: u64) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.at).as_secs_f64().max(1e-3);
        // Fewer than before when a flow begins again from its last commit.
        let latest = rows.saturating_sub(self.rows) as f64 / seconds;
        // A look after a long time says more than one after a short time.
        let weight = 1.0 - (-seconds / 2.0).exp();
        self.smooth += (latest - self.smooth) * weight;
        (self.rows, self.at) = (rows, now);
        self.smooth
    }
}

/// One flow at one moment, in words.
struct Line {
    flow: String,
    rows: String,
    rate: String,
    commit: String,
    behind: String,
}

impl Line {
    fn new(flow: &str, meter: &Meter, rate: &mut Rate) -> Self {
        let reading = meter.read();
        let rate = rate.update(reading.read);
        let commit = match &reading.last_commit {
            Some((at, progress)) => format!("version {} committed {} ago", progress.version, ago(at.elapsed())),
            None => "nothing committed yet".to_owned(),
        };
        let behind = match (reading.done, &reading.trouble, reading.lag.total()) {
            (true, ..) => "done".to_owned(),
            (false, Some(_), _) => format!("trying again: {}", counted(reading.restarts, "restart")),
            (false, None, Some(0)) => "caught up".to_owned(),
            (false, None, Some(rows)) => format!("{} behind", HumanCount(rows)),
            (false, None, None) => String::new(),
        };
        let rate = if reading.done { 0.0 } else { rate };
        Self {
            flow: flow.to_owned(),
            rows: format!("{} rows", HumanCount(reading.read)),
            rate: format!("{}/s", HumanCount(rate.round() as u64)),
            commit,
            behind,
        }
    }
}

fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
