//! `check`: the file, and when asked the servers it names.

use super::{Failed, PANICKED};
use crate::report::connect::{Asked, Line, Mark};
use crate::report::{self, counted, say};
use operators_core::Checkpoint;
use operators_core::inspect::Seen;
use operators_core::terminal::printed;
use pipeline::{BuiltFlow, Loaded};
use runtime::plan::{feeders, fits};
use std::path::Path;
use std::thread;

pub(crate) fn check(file: &Path, connect: bool) -> Result<(), Failed> {
    let loaded = super::load(file)?;
    let flows = counted(loaded.built.len() as u64, "flow");
    say(format!("{}: pipeline {} with {flows} is fine", printed(&file.display().to_string()), loaded.pipeline.name))?;
    for warning in &loaded.warnings {
        say(format!("warning: {}", printed(warning)))?;
    }
    if connect { ask(&loaded) } else { Ok(()) }
}

/// Asks all servers side by side, and shows flow by flow what they said.
fn ask(loaded: &Loaded) -> Result<(), Failed> {
    let mut failed = 0;
    thread::scope(|scope| {
        // All are asked before the first answer is waited for.
        let asked: Vec<_> = loaded
            .built
            .iter()
            .map(|flow| (flow, scope.spawn(|| source(flow, loaded)), scope.spawn(|| sink(flow))))
            .collect();
        for (flow, source, sink) in asked {
            let between = flow
                .stages
                .iter()
                .map(|stage| Asked { stage: stage.name.clone(), lines: vec![fine(&stage.built.about.summary)] });
            let broken = || vec![line(Mark::Failed, PANICKED)];
            let (sink, read) = sink.join().unwrap_or_else(|_| (broken(), None));
            let mut lines = source.join().unwrap_or_else(|_| broken());
            if let Some(read) = read
                && lines.iter().any(|line| line.mark == Mark::NotYet)
            {
                // In a job that runs it may have come since.
                lines = scope.spawn(|| self::source(flow, loaded)).join().unwrap_or_else(|_| broken());
                lost(&mut lines, &read);
            }
            let source = Asked { stage: flow.source_name.clone(), lines };
            let sink = Asked { stage: flow.sink_name.clone(), lines: sink };
            let stages: Vec<_> = [source].into_iter().chain(between).chain([sink]).collect();
            let lines = stages.iter().flat_map(|stage| &stage.lines);
            failed += lines.filter(|line| line.mark == Mark::Failed).count() as u64;
            say(report::connect::flow(&flow.name, &stages))?;
        }
        Ok::<(), Failed>(())
    })?;
    if failed > 0 {
        say(format!("\n{} in the way of a run; nothing was changed", counted(failed, "thing")))?;
        return Err(Failed::Said);
    }
    Ok(say("\nall that was asked is as a run needs it; nothing was changed")?)
}

/// What a source says; one that is not there yet is in order only when another flow of the file makes it.
fn source(flow: &BuiltFlow, loaded: &Loaded) -> Vec<Line> {
    let fed = !feeders(flow, &loaded.built).is_empty();
    let seen = flow.source.source.connect(&flow.id).into_iter().map(|seen| match seen {
        Ok(Seen::NotYet(text)) if !fed => line(
            Mark::Failed,
            &format!("{text}, but no flow of this file makes it: look at its name, or make it before the run"),
        ),
        seen => told(seen),
    });
    or_summary(seen.collect(), &flow.source.about.summary)
}

/// A source that was read and is not there any more is lost, whoever makes another.
fn lost(source: &mut [Line], read: &Checkpoint) {
    for line in source.iter_mut().filter(|line| line.mark == Mark::NotYet) {
        line.mark = Mark::Failed;
        line.text += &format!(
            ". But it was there: the flow has read it up to {{{read}}}. Put it back, or give the flow a new sink and let it \
             begin there"
        );
    }
}

/// What a sink says, whether the flow could go on from what it holds, and how far the source was read.
fn sink(flow: &BuiltFlow) -> (Vec<Line>, Option<Checkpoint>) {
    let mut lines: Vec<_> = flow.sink.sink.connect(&flow.id).into_iter().map(told).collect();
    let mut read = None;
    // A server that has not answered is not asked again.
    if lines.iter().all(|line| line.mark != Mark::Failed) {
        let goes_on = flow.sink.sink.progress(&flow.id).and_then(|progress| match progress {
            None => Ok(Seen::Fine("nothing is committed yet: the flow begins at the beginning".to_owned())),
            Some(progress) => {
                let positions = read.insert(progress.positions.clone());
                fits(flow, &progress)?;
                Ok(Seen::Fine(format!("the flow goes on after version {}, at {{{positions}}}", progress.version)))
            }
        });
        lines.push(told(goes_on));
    }
    (or_summary(lines, &flow.sink.about.summary), read)
}

fn or_summary(lines: Vec<Line>, summary: &str) -> Vec<Line> {
    if lines.is_empty() { vec![fine(summary)] } else { lines }
}

fn told(seen: operators_core::Result<Seen>) -> Line {
    match seen {
        Ok(Seen::Fine(text)) => line(Mark::Fine, &text),
        Ok(Seen::NotYet(text)) => line(Mark::NotYet, &text),
        Ok(Seen::Untold(text)) => line(Mark::Untold, &text),
        Err(error) => line(Mark::Failed, &error.to_string()),
    }
}

fn fine(text: &str) -> Line {
    line(Mark::Fine, text)
}

fn line(mark: Mark, text: &str) -> Line {
    Line { mark, text: text.to_owned() }
}
