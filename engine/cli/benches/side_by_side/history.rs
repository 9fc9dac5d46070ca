//! What a long history costs: the start beside an empty archive, and the last rows of a long run beside its first.

use crate::batches::Batch;
use crate::contest::{Goal, Outcome, median};
use crate::process::{Running, weatherflow};
use crate::world::{self, World};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use testkit::unique;

/// Batches that are in place.
const BATCHES: u64 = 100_000;

/// From the start of the program to the first batch it publishes, with a long history and with none.
pub fn restart(world: &World) -> Outcome {
    let dir = world.empty("restart");
    let flow = |archive: &str| {
        format!(
            "[[flow]]\nname = \"{archive}\"\ncommit = {{ every = \"1s\", rows = 1 }}\n\n[flow.source.weather]\n\
             stations = 1\nevery = \"0.5ms\"\n\n[flow.partition.source]\n\n[flow.sink.parquet]\nurl = \
             \"file:{archive}\"\n"
        )
    };
    let after = |archive: &str, from: u64| {
        let path = dir.join(archive);
        let next = (from..).find(|number| Batch::find(&path, *number).is_none()).unwrap();
        until(world, &dir, &flow(archive), &path, next)
    };
    eprintln!("  making {BATCHES} batches");
    until(world, &dir, &flow("long"), &dir.join("long"), BATCHES);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..world.rounds {
        with.push(after("long", BATCHES));
        without.push(after(&format!("empty-{round}"), 0));
    }
    let more = median(&with.iter().zip(&without).map(|(with, without)| with - without).collect::<Vec<_>>());
    let what = |history: &str, seconds: &[f64]| format!("start to first batch {history}: {:.3} s", median(seconds));
    eprintln!("  {}; {}", what("after 100,000 batches", &with), what("into an empty archive", &without));
    let what = "start to first new batch after 100,000 batches, less that of an empty archive";
    Outcome::of([Goal::at_most(what, more, 0.5, "s")])
}

/// Runs a flow until a batch is there; gives the seconds from its start.
fn until(world: &World, dir: &Path, flow: &str, archive: &Path, batch: u64) -> f64 {
    let file = world.pipeline(dir, &[flow.to_owned()]);
    let began = Instant::now();
    let mut run = Running::start(&mut weatherflow(&["run"], &file));
    while Batch::find(archive, batch).is_none() {
        assert!(run.look().is_none(), "{}", run.printed());
        thread::sleep(Duration::from_millis(1));
    }
    let seconds = began.elapsed().as_secs_f64();
    run.interrupt();
    run.end();
    seconds
}

/// Rows/s at the end of a long run beside those at its beginning.
pub fn growth(world: &World) -> Outcome {
    let topic = world.fill(&unique("long"), world.rows * 5);
    let dir = world.empty("growth");
    let file = world.pipeline(&dir, &[world::archive(&topic, "1s", "file:archive")]);
    let taken = crate::process::run(&mut weatherflow(&["run", "--drain"], &file));
    eprintln!("  {} rows in {:.1} s, at most {:.0} MiB", topic.rows, taken.seconds, taken.peak_mib);
    crate::process::run(&mut weatherflow(&["verify"], &file));
    let batches = (0..).map_while(|number| Batch::find(&dir.join("archive"), number));
    let commits: Vec<_> = batches.map(|batch| (batch.rows_so_far(), batch.written())).collect();
    // Between commits, so that neither the start nor the wait for the end of the topic counts.
    let rate = |from: u64, to: u64| {
        let at = |rows: u64| commits.iter().find(|(so_far, _)| *so_far >= rows).unwrap();
        let ((rows, begin), (more, end)) = (at(from), at(to));
        (more - rows) as f64 / end.duration_since(*begin).unwrap().as_secs_f64()
    };
    let (tenth, last) = (topic.rows / 10, commits[commits.len() - 2].0);
    let millions = topic.rows / 1_000_000;
    let grown = rate(last - tenth, last) / rate(1, 1 + tenth);
    Outcome::of([
        Goal::at_least(
            format!("rows/s of the last tenth of {millions} million rows beside the first"),
            grown,
            0.95,
            "x",
        ),
        Goal::at_most(format!("peak resident memory of {millions} million rows"), taken.peak_mib, 256.0, "MiB"),
    ])
}
