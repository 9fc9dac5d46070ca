//! Which rows are printed, and how. Rows go to stdout and everything else to stderr.

use super::args::{Condition, Format, TapArgs};
use crate::command::Failed;
use crate::report::{counted, tell_aside, width};
use indicatif::HumanCount;
use operators_core::Chunk;
use operators_core::stage::Apply;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stages::show::{self, Bytes, Origin, Page, Printer, View};
use stages::transform::TransformConfig;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write, stdout};
use std::ops::ControlFlow::{self, Break, Continue};

/// Prints what is asked for, until it is enough.
pub(super) struct Output<'a> {
    args: &'a TapArgs,
    format: show::Format,
    out: BufWriter<Stdout>,
    /// For the view that came last; another one needs others.
    prepared: Option<Prepared>,
    /// Rows that were printed.
    rows: u64,
    /// Dead letters, and those of them that were printed.
    letters: u64,
    letters_printed: u64,
    /// Rows that a condition left out.
    passed_over: u64,
}

struct Prepared {
    view: View,
    conditions: Vec<Box<dyn Apply>>,
    printer: Printer,
}

impl<'a> Output<'a> {
    pub(super) fn new(args: &'a TapArgs) -> Self {
        let is_terminal = stdout().is_terminal();
        let format = match (args.format, is_terminal) {
            (Some(Format::Table), _) | (None, true) => show::Format::Table(is_terminal.then(width)),
            (Some(Format::Json), _) | (None, false) => show::Format::Json,
            (Some(Format::Raw), true) => show::Format::Raw(Bytes::Escaped),
            (Some(Format::Raw), false) => show::Format::Raw(Bytes::Verbatim),
        };
        let out = BufWriter::new(stdout());
        Self { args, format, out, prepared: None, rows: 0, letters: 0, letters_printed: 0, passed_over: 0 }
    }

    /// Makes ready for rows of a view; an error when what is asked for does not fit them.
    pub(super) fn prepare(&mut self, view: &View) -> Result<(), Failed> {
        self.prepared(view).map(drop)
    }

    fn prepared(&mut self, view: &View) -> Result<&mut Prepared, Failed> {
        let prepared = match self.prepared.take() {
            Some(prepared) if prepared.view == *view => prepared,
            _ => Prepared::new(self.args, self.format, view)?,
        };
        Ok(self.prepared.insert(prepared))
    }

    /// Prints what is asked for of the chunks that one has become; breaks off when it is enough, or nobody reads any more.
    pub(super) fn show(
        &mut self,
        view: &View,
        chunks: Vec<Chunk>,
        origin: Origin<'_>,
    ) -> Result<ControlFlow<()>, Failed> {
        let left = self.args.limit.map_or(u64::MAX, |limit| limit - self.printed());
        let mut page = Page::new(view, chunks, origin)?;
        let (rows, letters) = (page.rows(), page.letters());
        if !self.args.conditions.is_empty() {
            // Nobody can tell whether they would have been asked for.
            page.drop_letters();
        }
        if rows > 0 {
            for condition in &mut self.prepared(view)?.conditions {
                page.keep(&mut **condition)?;
            }
        }
        self.passed_over += rows - page.rows();
        page.cut(left);
        self.rows += page.rows();
        self.letters += letters;
        self.letters_printed += page.letters();
        page.letters_in_words().iter().for_each(tell_aside);
        match self.print(&page) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Break(())),
            Err(error) => Err(Failed::Running(format!("cannot print: {error}"))),
            Ok(()) if Some(self.printed()) == self.args.limit => Ok(Break(())),
            Ok(()) => Ok(Continue(())),
        }
    }

    fn print(&mut self, page: &Page) -> io::Result<()> {
        if let Some(prepared) = self.prepared.as_mut().filter(|_| page.rows() > 0) {
            prepared.printer.print(page, &mut self.out)?;
        }
        self.out.flush()
    }

    /// Rows and dead letters so far.
    pub(super) fn printed(&self) -> u64 {
        self.rows + self.letters_printed
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
        let mut words = vec![format!("{} printed", counted(self.rows, "row"))];
        if self.letters > 0 {
            words.push(counted(self.letters, "dead letter"));
        }
        if self.passed_over > 0 {
            words.push(format!("{} passed over by --where", HumanCount(self.passed_over)));
        }
        words.extend_from_slice(left_out);
        tell_aside(words.join(", "));
    }
}

impl Prepared {
    fn new(args: &TapArgs, format: show::Format, view: &View) -> Result<Self, Failed> {
        let condition = |condition: &Condition| match TransformConfig::Filter(condition.0.clone()).build(view.columns())
        {
            Ok(filter) => Ok(filter.stage.handle()),
            Err(problems) => {
                let words = problems.into_iter().map(|problem| match problem.help {
                    Some(help) => format!("--where: {}; {help}", problem.message),
                    None => format!("--where: {}", problem.message),
                });
                Err(Failed::Usage(words.collect::<Vec<_>>().join("\n")))
            }
        };
        let conditions = args.conditions.iter().map(condition).collect::<Result<_, _>>()?;
        let printer = Printer::new(view, format).map_err(Failed::Usage)?;
        Ok(Self { view: view.clone(), conditions, printer })
    }
}
