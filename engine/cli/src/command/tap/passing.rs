//! Rows as they pass: read by a reader of our own and passed through the flow's own stages, up to the one that is asked
//! for.

use super::args::{Begin, TapArgs};
use super::output::Output;
use crate::command::{Failed, stop_on_signals};
use crate::report::tell_aside;
use indicatif::HumanCount;
use operators_core::chunk::Kind;
use operators_core::inspect::Extent;
use operators_core::stage::{Applied, Apply, Read, Reader, Share};
use operators_core::{Checkpoint, Chunk, Error, Position};
use pipeline::{BuiltFlow, NamedStage};
use runtime::Halt;
use stages::show::{Origin, View};
use std::collections::BTreeSet;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

/// After so long without a row it is said that rows are waited for.
const QUIET: Duration = Duration::from_secs(2);

/// A reader that has nothing is asked again after this time at the latest, so that a reader of ours that hangs up is
/// noticed soon.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Prints the rows of a flow that have passed so many of its stages.
pub(super) fn tap(args: &TapArgs, flow: &BuiltFlow, passed: usize, output: &mut Output<'_>) -> Result<(), Failed> {
    let stages = &flow.stages[..passed];
    let source = &flow.source;
    let columns = stages.last().map_or(&source.schema, |stage| &stage.built.schema);
    let spread = stages.iter().any(|stage| stage.built.partitions.is_some());
    let stage = |stage: &NamedStage| Stage {
        name: stage.name.clone(),
        handle: stage.built.stage.handle(),
        filtered: 0,
        skipped: 0,
    };
    let mut line = Line {
        args,
        flow,
        view: View::passing(&source.schema, columns, spread),
        stages: stages.iter().map(stage).collect(),
        output,
    };
    line.output.prepare(&line.view)?;
    let halt = Halt::new();
    stop_on_signals(&halt)?;
    let extents = source.source.extents()?;
    let mut readers = open(args, flow, &extents)?;
    let from = match args.from.unwrap_or(Begin::Latest) {
        Begin::At(position) => format!("from position {position} on"),
        // What cannot tell has nothing yet, or makes its rows as it goes.
        Begin::Latest if !extents.is_empty() => "rows from now on".to_owned(),
        Begin::Latest | Begin::Earliest => "from the first row on".to_owned(),
    };
    let tapped = stages.last().map_or(&flow.source_name, |stage| &stage.name);
    tell_aside(format!("{}.{tapped}: {}, {from}; Ctrl-C ends", flow.name, source.about.summary));
    let ended = follow(&mut readers, &halt, &mut line);
    if halt.is_stopping() {
        // The terminal has echoed `^C`.
        tell_aside("");
    }
    ended?;
    line.output.account(&line.left_out());
    Ok(())
}

/// Opens readers where the rows asked for begin; one for each partition asked for, so that nothing else is read.
fn open(args: &TapArgs, flow: &BuiltFlow, extents: &[Extent]) -> Result<Vec<Box<dyn Reader>>, Failed> {
    let source = &flow.source.source;
    let is_wanted = |partition: u32| args.partition.is_empty() || args.partition.contains(&partition);
    let missing = |partition: &&u32| !extents.iter().any(|extent| extent.partition == **partition);
    if let Some(partition) = args.partition.iter().find(missing).filter(|_| !extents.is_empty()) {
        let there = ranges(extents);
        let source = &flow.source.about.summary;
        return Err(Failed::Running(format!("there is no partition {partition} in {source}; it has {there}")));
    }
    let wanted: Vec<_> = extents.iter().filter(|extent| is_wanted(extent.partition)).copied().collect();
    let from = match args.from.unwrap_or(Begin::Latest) {
        Begin::Earliest => checkpoint(&wanted, |extent| extent.first),
        Begin::Latest => checkpoint(&wanted, |extent| extent.next),
        Begin::At(position) if !wanted.is_empty() => checkpoint(&wanted, |_| Position(position)),
        // A source that cannot tell has the partitions it is said to have.
        Begin::At(position) => {
            let partitions = if args.partition.is_empty() { &[0][..] } else { &args.partition };
            Checkpoint(partitions.iter().map(|partition| (*partition, Position(position))).collect())
        }
    };
    let shares = match args.partition.as_slice() {
        [] => vec![Share { index: 0, of: 1 }],
        some => some.iter().collect::<BTreeSet<_>>().into_iter().map(|&index| Share { index, of: u32::MAX }).collect(),
    };
    let refused = |error| {
        let (Error::Refused { place, .. }, Some(Begin::At(position))) = (&error, args.from) else {
            return error.into();
        };
        let is_outside = |extent: &&Extent| !(extent.first..=extent.next).contains(&Position(position));
        let outside: Vec<_> = wanted.iter().filter(is_outside).collect();
        if outside.is_empty() {
            return error.into();
        }
        // What the source says is for a flow that stands there.
        let choose = if wanted.len() > 1 { "; --partition chooses others" } else { "" };
        Failed::Running(format!("{place}: position {position} is not there: it has {}{choose}", ranges(outside)))
    };
    shares.into_iter().map(|share| source.open(share, &from).map_err(refused)).collect()
}

fn checkpoint(extents: &[Extent], at: impl Fn(&Extent) -> Position) -> Checkpoint {
    Checkpoint(extents.iter().map(|extent| (extent.partition, at(extent))).collect())
}

/// `partition 0 [0, 120), partition 1 [7, 80)`
fn ranges<'e>(extents: impl IntoIterator<Item = &'e Extent>) -> String {
    let range = |extent: &Extent| format!("partition {} [{}, {})", extent.partition, extent.first, extent.next);
    extents.into_iter().map(range).collect::<Vec<_>>().join(", ")
}

/// Reads and passes on until it is enough, the sources end, or Ctrl-C is pressed.
fn follow(readers: &mut Vec<Box<dyn Reader>>, halt: &Halt, line: &mut Line<'_, '_>) -> Result<(), Failed> {
    let mut quiet = Some(Instant::now());
    while !halt.is_stopping() && !readers.is_empty() {
        let mut pause = PAUSE_MAX;
        let mut any = false;
        let mut at = 0;
        while at < readers.len() {
            match readers[at].read()? {
                Read::Rows(chunk, _) => {
                    any = true;
                    if line.pass(&chunk)?.is_break() {
                        return Ok(());
                    }
                }
                Read::Pause(time) | Read::CaughtUp(time) => pause = pause.min(time),
                Read::End => {
                    drop(readers.remove(at));
                    continue;
                }
            }
            at += 1;
        }
        if any {
            quiet = quiet.map(|_| Instant::now());
            continue;
        }
        if line.output.is_unread() {
            return Ok(());
        }
        if quiet.is_some_and(|since| since.elapsed() >= QUIET) {
            let so_far = if line.output.printed() == 0 { "no rows yet" } else { "no more rows now" };
            tell_aside(format!("{so_far}; waiting, Ctrl-C ends"));
            quiet = None;
        }
        halt.sleep(pause);
    }
    Ok(())
}

/// The flow up to the stage that is asked for.
struct Line<'a, 'o> {
    args: &'a TapArgs,
    flow: &'a BuiltFlow,
    view: View,
    stages: Vec<Stage>,
    output: &'a mut Output<'o>,
}

struct Stage {
    name: String,
    handle: Box<dyn Apply>,
    filtered: u64,
    skipped: u64,
}

impl Line<'_, '_> {
    /// Passes a chunk through the stages, and prints what comes out.
    fn pass(&mut self, read: &Chunk) -> Result<ControlFlow<()>, Failed> {
        match self.apply(read) {
            Ok(chunks) => self.output.show(&self.view, chunks, Origin::Read(read)),
            // The rows before the one that cannot be processed are printed first.
            Err(_) if read.len() > 1 => {
                let half = read.len() / 2;
                match self.pass(&read.slice(0, half))? {
                    Break(()) => Ok(Break(())),
                    Continue(()) => self.pass(&read.slice(half, read.len() - half)),
                }
            }
            Err(error) => Err(Failed::Running(self.words(&error))),
        }
    }

    fn apply(&mut self, read: &Chunk) -> Result<Vec<Chunk>, Error> {
        let mut chunks = Vec::new();
        if !read.is_empty() {
            chunks.push(read.clone());
        }
        let mut left_out = Vec::new();
        for stage in &mut self.stages {
            let mut given = Vec::new();
            let (mut filtered, mut skipped) = (0, 0);
            for chunk in chunks {
                if chunk.kind == Kind::DeadLetters {
                    given.push(chunk);
                    continue;
                }
                let applied: Applied = stage.handle.apply(chunk)?;
                filtered += applied.filtered;
                skipped += applied.skipped;
                given.extend(applied.rows.into_iter().chain(applied.dead_letters));
            }
            left_out.push((filtered, skipped));
            chunks = given;
        }
        // Only now: what failed is tried again in parts.
        for (stage, (filtered, skipped)) in self.stages.iter_mut().zip(left_out) {
            stage.filtered += filtered;
            stage.skipped += skipped;
        }
        Ok(chunks)
    }

    /// What happened, and how to look at the row it happened to.
    fn words(&self, error: &Error) -> String {
        let (Error::Row { partition, position, .. } | Error::Value { partition, position, .. }) = error else {
            return error.to_string();
        };
        let program = std::env::args().next().unwrap_or_else(|| "weatherflow".to_owned());
        let file = self.args.file.display();
        format!(
            "{error}\nto look at the row:  {program} tap {file} {}.source --partition {partition} --from {position} --limit 1",
            self.flow.name
        )
    }

    /// What the stages left out, in words.
    fn left_out(&self) -> Vec<String> {
        let mut words = Vec::new();
        for stage in &self.stages {
            for (rows, what) in [(stage.filtered, "filtered"), (stage.skipped, "skipped")] {
                if rows > 0 {
                    words.push(format!("{} {what} by {}", HumanCount(rows), stage.name));
                }
            }
        }
        words
    }
}
