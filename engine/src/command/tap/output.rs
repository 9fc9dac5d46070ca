//! Which rows are printed, and how. Rows go to stdout and everything else to stderr.

use super::{Format, TapArgs};
use crate::command::Failed;
use crate::report::counted;
use indicatif::HumanCount;
use operators::chunk::Kind;
use operators::show::{self, Bytes, Origin, Printer, View};
use operators::stage::Apply;
use operators::transform::TransformConfig;
use operators::{Chunk, Error};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write, stdout};
use std::ops::ControlFlow::{self, Break, Continue};

/// Prints what is asked for, until it is enough.
pub(super) struct Output<'a> {
    args: &'a TapArgs,
    format: show::Format,
    out: BufWriter<Stdout>,
    /// For the view that came last; another one needs others.
    prepared: Option<(View, Prepared)>,
    rows: u64,
    dead_letters: u64,
    /// Rows that a condition left out.
    passed_over: u64,
}

struct Prepared {
    conditions: Vec<Box<dyn Apply>>,
    printer: Printer,
}

impl<'a> Output<'a> {
    pub(super) fn new(args: &'a TapArgs) -> Self {
        let is_terminal = stdout().is_terminal();
        let format = match (args.format, is_terminal) {
            (Some(Format::Table), _) | (None, true) => show::Format::Table(width()),
            (Some(Format::Json), _) | (None, false) => show::Format::Json,
            (Some(Format::Raw), true) => show::Format::Raw(Bytes::Escaped),
            (Some(Format::Raw), false) => show::Format::Raw(Bytes::Verbatim),
        };
        let out = BufWriter::new(stdout());
        Self { args, format, out, prepared: None, rows: 0, dead_letters: 0, passed_over: 0 }
    }

    /// Makes ready for rows of a view; an error when what is asked for does not fit them.
    pub(super) fn prepare(&mut self, view: &View) -> Result<(), Failed> {
        self.prepared(view).map(drop)
    }

    fn prepared(&mut self, view: &View) -> Result<&mut Prepared, Failed> {
        let prepared = match self.prepared.take().filter(|(known, _)| known == view) {
            Some(prepared) => prepared,
            None => {
                let conditions = self.args.conditions.iter().map(|condition| {
                    let filter = TransformConfig::Filter(condition.0.clone());
                    let built = filter.build(view.columns()).map_err(|problems| {
                        let words = problems.into_iter().map(|problem| match problem.help {
                            Some(help) => format!("--where: {}; {help}", problem.message),
                            None => format!("--where: {}", problem.message),
                        });
                        Failed::Usage(words.collect::<Vec<_>>().join("\n"))
                    })?;
                    Ok(built.stage.handle())
                });
                let conditions = conditions.collect::<Result<_, _>>()?;
                let printer = Printer::new(view.clone(), self.format).map_err(Failed::Usage)?;
                (view.clone(), Prepared { conditions, printer })
            }
        };
        Ok(&mut self.prepared.insert(prepared).1)
    }

    /// Prints the rows of a chunk that are asked for; breaks off when it is enough, or nobody reads any more.
    pub(super) fn show(&mut self, view: &View, chunk: &Chunk, origin: Origin<'_>) -> Result<ControlFlow<()>, Failed> {
        let left = self.args.limit.map_or(u64::MAX, |limit| limit - self.rows - self.dead_letters);
        let printed = match chunk.kind {
            Kind::DeadLetters => {
                let letters = chunk.slice(0, chunk.len().min(left));
                self.dead_letters += letters.len();
                self.out.flush().inspect(|()| show::dead_letters(&letters).iter().for_each(|letter| note(letter)))
            }
            Kind::Rows => {
                let prepared = self.prepared(view)?;
                let mut kept = vec![view.mark(chunk, origin).map_err(failed)?];
                for condition in &mut prepared.conditions {
                    kept = match kept.pop() {
                        Some(chunk) => condition.apply(chunk).map_err(failed)?.rows,
                        None => break,
                    };
                }
                let kept = kept.pop();
                let rows = kept.as_ref().map_or(0, Chunk::len);
                let shown = kept.map(|kept| kept.slice(0, rows.min(left)));
                self.passed_over += chunk.len() - rows;
                self.rows += rows.min(left);
                self.print(shown.as_ref())
            }
        };
        match printed {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Break(())),
            Err(error) => Err(Failed::Running(format!("cannot print: {error}"))),
            Ok(()) if Some(self.rows + self.dead_letters) == self.args.limit => Ok(Break(())),
            Ok(()) => Ok(Continue(())),
        }
    }

    fn print(&mut self, rows: Option<&Chunk>) -> io::Result<()> {
        let (Some(rows), Some((_, prepared))) = (rows, &mut self.prepared) else { return Ok(()) };
        prepared.printer.print(rows, &mut self.out)?;
        self.out.flush()
    }

    /// Rows and dead letters so far.
    pub(super) fn shown(&self) -> u64 {
        self.rows + self.dead_letters
    }

    /// Whether nobody reads what is printed any more, which nothing tells while there is nothing to print.
    pub(super) fn is_unread(&self) -> bool {
        let out = stdout();
        let mut ends = [PollFd::new(&out, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut ends, Some(&at_once)).is_ok_and(|ready| ready > 0)
            && ends[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    /// Says what was printed, and with `left_out` what was not.
    pub(super) fn account(&self, left_out: &[String]) {
        let mut words = vec![format!("{} printed", counted_rows(self.rows))];
        if self.dead_letters > 0 {
            words.push(counted(self.dead_letters, "dead letter"));
        }
        if self.passed_over > 0 {
            words.push(format!("{} passed over by --where", HumanCount(self.passed_over)));
        }
        words.extend_from_slice(left_out);
        note(&words.join(", "));
    }
}

fn counted_rows(rows: u64) -> String {
    format!("{} {}", HumanCount(rows), if rows == 1 { "row" } else { "rows" })
}

/// Says something beside the rows. A terminal that cannot be written to any more does not matter.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

pub(super) fn failed(error: Error) -> Failed {
    Failed::Running(error.to_string())
}

/// The cells of a line, where stdout is a terminal.
fn width() -> Option<usize> {
    const USUAL: usize = 80;
    if !stdout().is_terminal() {
        return None;
    }
    let columns = tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_col));
    Some(if columns == 0 { USUAL } else { columns })
}
