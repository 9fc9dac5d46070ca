//! The program is stopped before and after every single call of its store, calls are applied without an answer, and
//! applied late: whatever happens, after a restart the archive holds every row once.

use crate::archive_world::{Job, World, assert_whole, files, replace, rows, run, sink, write};
use files::sink::Layout;
use files::store::faulty::{Call, Fault, Faulty};
use files::store::local::Local;
use files::store::memory::Memory;
use files::store::{STAGING, Store};
use operators_core::Error;
use operators_core::progress::Version;
use operators_core::stage::Sink;
use serde_json::{Value, json};
use std::sync::Arc;

/// Below each of the two directories for staged files: that of this version, and that of earlier ones.
const FOREIGN: [&str; 3] = ["_other/kept", "notes.txt", "running/kept"];

in_both_layouts! {
    every_crash_point
    every_pair_of_crash_points
    every_call_that_outlives_its_program
    every_crash_point_on_a_local_disk
    a_stop_in_the_middle_shows_no_half_batch
    progress_touches_nothing
}

/// Whether a version is in a file that readers see.
fn is_there(memory: &Memory, layout: Layout, version: Version) -> bool {
    match layout {
        Layout::Batches => memory.read(&format!("segment=000000/batch={:020}/_checkpoint.json", version.0)).is_ok(),
        Layout::Flat => {
            let says = format!("\"version\":{},", version.0);
            let files = files(memory, "").into_iter().filter(|path| path.starts_with("partition-"));
            files.into_iter().any(|path| {
                let bytes = memory.read(&path).unwrap();
                bytes.windows(says.len()).any(|window| window == says.as_bytes())
            })
        }
    }
}

/// The flat layout makes three times as many calls; of a second choice only each so many is taken, beginning elsewhere
/// for each first one.
fn stride(layout: Layout) -> u64 {
    match layout {
        Layout::Batches => 1,
        Layout::Flat => 9,
    }
}

/// Lives as often as it takes, and returns the number of calls made.
fn survive(world: World, plan: &[(u64, Fault)]) -> u64 {
    let memory = Memory::default();
    let foreign = |staging: &str| FOREIGN.map(|path| format!("{staging}/{path}"));
    let stagings = [STAGING, "_staging"];
    stagings.map(foreign).as_flattened().iter().for_each(|path| write(&memory, path, b"not ours"));
    let faulty = Faulty::new(Arc::new(memory.clone()), plan.iter().copied());
    let program = world.sink(&faulty);
    let mut lives = 1;
    // What a commit says is there is there, whatever the store did not say.
    let committed = |version: Version| {
        assert!(is_there(&memory, world.layout, version), "{plan:?}: batch {version} was said to be committed");
    };
    while let Err(error) = world.live_telling(&program, &format!("life-{lives}"), committed) {
        assert!(!matches!(error, Error::Fenced { .. }), "{plan:?}: fenced by an earlier life of its own: {error}");
        assert!(lives <= plan.len(), "{plan:?}: failed once more than there were faults: {error}");
        let stopped = error.to_string().contains("the program is dead");
        assert!(stopped || matches!(error, Error::Unavailable { .. }), "{plan:?}: a new start would help: {error}");
        lives += 1;
        memory.crash(plan[0].0);
        faulty.restart();
    }
    faulty.settle();
    world.assert_whole(&memory, &format!("{plan:?}"));
    world.sink(&memory).open(&run("the last")).unwrap();
    for staging in stagings {
        assert_eq!(files(&memory, staging), foreign(staging), "{plan:?}: leftovers are deleted, and only ours");
    }
    assert!(memory.list("_weatherflow-probe").is_err(), "{plan:?}: and what a start renamed to try it");
    faulty.made()
}

fn every_crash_point(layout: Layout) {
    let job = match layout {
        Layout::Batches => Job { partitions: 4, positions: 12, step: 3 },
        // As many calls for two partitions, one batch of each without rows.
        Layout::Flat => Job { partitions: 2, positions: 9, step: 3 },
    };
    let world = job.laid_out(layout);
    let calls = survive(world, &[]);
    let late = [0, 1, 2, 3, 5, 8, 13, 21].map(Fault::Late);
    let faults = [Fault::StopBefore, Fault::StopAfter, Fault::Unanswered, Fault::Refused].into_iter().chain(late);
    let mut runs = 0;
    for fault in faults {
        for call in 0..calls {
            survive(world, &[(call, fault)]);
            runs += 1;
        }
    }
    println!("{layout:?}: {calls} calls, each with 12 faults: {runs} runs, each whole after a restart");
}

fn every_pair_of_crash_points(layout: Layout) {
    let world = Job { partitions: 2, positions: 6, step: 3 }.laid_out(layout);
    let faults = [Fault::StopBefore, Fault::StopAfter, Fault::Unanswered, Fault::Late(4)];
    let calls = survive(world, &[]);
    let mut runs = 0;
    for first in faults {
        for second in faults {
            for at in 0..calls {
                // The second fault may hit any later call, the restart's included.
                let mut then = at + 1 + (runs + at) % stride(layout);
                while survive(world, &[(at, first), (then, second)]) > then {
                    runs += 1;
                    then += stride(layout);
                }
            }
        }
    }
    println!("{layout:?}: {calls} calls, 16 pairs of faults: {runs} runs, each whole after two restarts at most");
}

/// A call is still on its way when the program is stopped, and arrives at any moment of its next life: before the
/// takeover, between any two calls of it, or after.
fn every_call_that_outlives_its_program(layout: Layout) {
    let world = Job { partitions: 2, positions: 6, step: 3 }.laid_out(layout);
    let calls = survive(world, &[]);
    for at in 0..calls {
        for late in (at % stride(layout)..calls + 8).step_by(stride(layout) as usize) {
            survive(world, &[(at, Fault::Late(late)), (at + 1, Fault::StopBefore)]);
        }
    }
    println!(
        "{layout:?}: {calls} calls, each arriving at {} moments after the program's end",
        (calls + 8) / stride(layout)
    );
}

/// A crash of a real directory: nothing is lost of what was written, but everything half done stays.
fn every_crash_point_on_a_local_disk(layout: Layout) {
    let world = Job { partitions: 2, positions: 6, step: 3 }.laid_out(layout);
    let calls = survive(world, &[]);
    for fault in [Fault::StopBefore, Fault::StopAfter, Fault::Unanswered, Fault::Refused] {
        for call in 0..calls {
            let directory = tempfile::tempdir().unwrap();
            let local = Local::new(directory.path().join("archive"));
            let faulty = Faulty::new(Arc::new(local.clone()), [(call, fault)]);
            let first = world.live(&world.sink(&faulty), "first");
            faulty.restart();
            if first.is_err() {
                world.live(&world.sink(&faulty), "second").unwrap();
            }
            world.assert_whole(&local, &format!("{fault:?} at {call}"));
        }
    }
    println!("{layout:?}: {calls} calls, each with 4 faults, in real directories");
}

/// The directory of the next segment is made by the rename into it, and a crash may leave it empty.
#[test]
fn every_crash_point_between_two_segments() {
    let job = Job { partitions: 2, positions: 9, step: 3 };
    let memory = Memory::default();
    job.live(&sink(&memory), "before").unwrap();
    let record = "segment=000000/batch=00000000000000000000/_checkpoint.json";
    let record = String::from_utf8(memory.read(record).unwrap()).unwrap();
    let calls = survive(job.laid_out(Layout::Batches), &[]);
    let mut runs = 0;
    for fault in [Fault::StopBefore, Fault::StopAfter, Fault::Unanswered, Fault::Late(0), Fault::Late(5)] {
        for call in 0..calls {
            let memory = Memory::default();
            // As a run leaves it that was stopped within the first rename into the next segment, or before.
            let last = 99_998 + call % 2;
            let path = format!("segment=000000/batch={last:020}/_checkpoint.json");
            write(&memory, &path, without_files(&record, last).as_bytes());
            if last == 99_999 {
                write(&memory, "segment=000001/gone", b"");
                memory.delete("segment=000001/gone").unwrap();
            }
            let faulty = Faulty::new(Arc::new(memory.clone()), [(call, fault)]);
            if job.live(&sink(&faulty), "first").is_err() {
                faulty.restart();
                job.live(&sink(&faulty), "second").unwrap();
            }
            let committed = sink(&memory).progress(crate::archive_world::FLOW).unwrap().unwrap();
            assert_eq!(committed.version.0, last + 2, "{fault:?} at {call}");
            let left: Vec<u64> = job.expected()[&0].written.iter().copied().filter(|p| *p >= 3).collect();
            assert_eq!(rows(&memory)[&0].written, left, "{fault:?} at {call}");
            runs += 1;
        }
    }
    println!("{runs} runs from batch 99998 or 99999 into the next segment");
}

fn a_stop_in_the_middle_shows_no_half_batch(layout: Layout) {
    let world = Job { partitions: 4, positions: 12, step: 3 }.laid_out(layout);
    let calls = survive(world, &[]);
    for call in 0..calls {
        let memory = Memory::default();
        let faulty = Faulty::new(Arc::new(memory.clone()), [(call, Fault::StopAfter)]);
        let _stopped = world.live(&world.sink(&faulty), "stopped");
        let seen = rows(&memory);
        let committed = world.sink(&memory).progress(crate::archive_world::FLOW).unwrap();
        let committed = committed.map_or(0, |progress| progress.totals.written);
        let visible: usize = seen.values().map(|rows| rows.written.len()).sum();
        assert_eq!(visible as u64, committed, "stopped after call {call}: readers see what is committed, no more");
    }
}

/// Nothing is built on a newest batch that lost a file, and what the error advises works.
#[test]
fn a_newest_batch_with_a_lost_or_cut_file_stops_the_start() {
    let job = Job { partitions: 2, positions: 9, step: 3 };
    let batch = "segment=000000/batch=00000000000000000002";
    let path = format!("{batch}/partition-0-batch-2.parquet");
    let damages: [fn(&Memory, &str); 2] =
        [|s, path| assert!(s.delete(path).unwrap()), |s, path| replace(s, path, &s.read(path).unwrap()[1..])];
    for damage in damages {
        let memory = Memory::default();
        job.live(&sink(&memory), "first").unwrap();
        damage(&memory, &path);
        let Some(Error::Damaged { reason, .. }) = sink(&memory).open(&run("next")).err() else { panic!("it started") };
        assert!(
            reason.contains("move archive/segment=000000/batch=00000000000000000002 out of the archive"),
            "{reason}"
        );
        memory.delete(batch).unwrap();
        job.live(&sink(&memory), "next").unwrap();
        assert_whole(&memory, job, "after the newest batch was moved away");
    }
}

/// A record as that of another version, whose batch has neither files nor digests.
fn without_files(record: &str, version: u64) -> String {
    let mut record: Value = serde_json::from_str(record).unwrap();
    record["progress"]["version"] = json!(version);
    record["files"] = json!([]);
    (record["before"], record["digest"]) = (Value::Null, Value::Null);
    record.to_string()
}

/// Restart finds the newest batch in as many calls after 100,000 batches as after 10.
#[test]
fn restart_does_not_grow_with_history() {
    let job = Job { partitions: 2, positions: 33, step: 3 };
    let memory = Memory::default();
    job.live(&sink(&memory), "first").unwrap();
    job.live(&sink(&memory), "cleaned").unwrap();
    let newest = "segment=000000/batch=00000000000000000010/_checkpoint.json";
    let newest = String::from_utf8(memory.read(newest).unwrap()).unwrap();
    let counted = |memory: &Memory| {
        let faulty = Faulty::new(Arc::new(memory.clone()), []);
        let opened = sink(&faulty).open(&run("counting")).unwrap();
        (opened.progress.unwrap().version.0 + 1, faulty.made(), faulty.counts())
    };
    let (batches, calls, by_kind) = counted(&memory);
    println!("{batches} batches: {calls} calls {by_kind:?}");
    for version in 11..100_010u64 {
        let path = format!("segment={:06}/batch={version:020}/_checkpoint.json", version / 100_000);
        write(&memory, &path, without_files(&newest, version).as_bytes());
    }
    let (many, same_calls, same_kinds) = counted(&memory);
    println!("{many} batches: {same_calls} calls {same_kinds:?}");
    assert_eq!((batches, many), (11, 100_010));
    assert_eq!((calls, by_kind), (same_calls, same_kinds.clone()));
    assert_eq!(same_kinds[&Call::Read], 2, "one checkpoint, before and after the takeover");
}

/// Looking changes nothing, and of a directory that is not there it finds nothing.
fn progress_touches_nothing(layout: Layout) {
    let world = Job { partitions: 1, positions: 0, step: 1 }.laid_out(layout);
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("archive");
    let faulty = Faulty::new(Arc::new(Local::new(root.clone())), []);
    assert_eq!(world.sink(&faulty).progress(crate::archive_world::FLOW).unwrap(), None);
    assert!(!root.exists());
    assert_eq!(faulty.counts().into_keys().collect::<Vec<_>>(), [Call::List]);
}
