//! The flat layout: what it leaves in its directory, where a run goes on from, and what it refuses.

use crate::archive_world::flat_file::{record, rewrite};
use crate::archive_world::{FLOW, Job, World, audit, files, first_commit, replace, run, write};
use files::sink::Layout;
use files::sink::ParquetConfig;
use files::store::Store;
use files::store::faulty::{Call, Fault, Faulty};
use files::store::memory::Memory;
use operators_core::config::Context;
use operators_core::progress::{Tally, Version};
use operators_core::stage::{Inflow, Sink};
use operators_core::{Error, Position, Span};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::BTreeSet;
use std::sync::Arc;

const WORLD: World = Job { partitions: 3, positions: 9, step: 3 }.laid_out(Layout::Flat);

/// Three batches of three partitions, the second without rows.
fn archive() -> Memory {
    let memory = Memory::default();
    assert_eq!(WORLD.live(&WORLD.sink(&memory), "run").unwrap(), 3);
    memory
}

fn text(memory: &Memory, path: &str) -> String {
    String::from_utf8(memory.read(path).unwrap()).unwrap()
}

#[test]
fn a_directory() {
    let memory = archive();
    let mut expected: Vec<_> =
        (0..3).flat_map(|n| (0..3).map(move |batch| format!("partition-{n}-batch-{batch}.parquet"))).collect();
    expected.extend((0..3).map(|n| format!("partition-{n}.json")));
    expected.extend((0..3).map(|n| format!("_partitions/partition-{n}")));
    expected.push("_partitions/_complete".to_owned());
    expected.sort();
    let mut found = files(&memory, "");
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(text(&memory, "partition-1.json"), "{\"batch_id\": 2, \"offset\": 9}\n");
    let rows = |path: &str| {
        let reader = SerializedFileReader::new(bytes::Bytes::from(memory.read(path).unwrap())).unwrap();
        reader.metadata().file_metadata().num_rows()
    };
    assert_eq!(rows("partition-1-batch-0.parquet"), 3);
    assert_eq!(rows("partition-1-batch-1.parquet"), 0, "read, filtered, and its position kept");
    let record = record(&memory, "partition-1-batch-2.parquet");
    assert_eq!(record["run"], serde_json::json!({ "id": "run", "flow": FLOW }));
    let anchor = serde_json::json!({ "at": 8, "epoch": 8 });
    assert_eq!(record["span"], serde_json::json!({ "partition": 1, "from": 6, "to": 9, "rows": 3, "anchor": anchor }));
    assert_eq!((&record["version"], &record["known"]["batches"]), (&2.into(), &2.into()));
    assert_eq!((&record["tally"]["written"], &record["known"]["totals"]["read"]), (&2.into(), &6.into()));
    WORLD.assert_whole(&memory, "a directory");
    assert_eq!(WORLD.live(&WORLD.sink(&memory), "two").unwrap(), 0, "a second run finds everything committed");
}

/// Commits a first batch that only says where each of three partitions begins.
fn begin(id: &str, at: Position, store: &(impl Store + Clone + 'static)) -> operators_core::Result<()> {
    let (sink, run) = (WORLD.sink(store), run(id));
    let mut opened = sink.open(&run)?;
    let beginning = |partition| Span { partition, from: at, to: at, rows: 0, anchor: None };
    let mut commit = first_commit(Job { partitions: 3, positions: 9, step: 3 }, &run, Vec::new());
    commit.spans = (0..3).map(beginning).collect();
    commit.tally = Tally::default();
    opened.committer.commit(commit)
}

/// A source may say where a partition begins before it has rows, so that it never begins anywhere else.
#[test]
fn a_first_batch_that_only_says_where_its_partition_begins() {
    let memory = Memory::default();
    begin("first", Position(5), &memory).unwrap();
    let sink = WORLD.sink(&memory);
    assert!(files(&memory, "").contains(&"partition-2-batch-0.parquet".to_owned()));
    let progress = sink.progress(FLOW).unwrap().unwrap();
    assert_eq!(progress.positions.position(2), Some(Position(5)));
    let (findings, account) = audit(&sink);
    assert_eq!((findings, account.batches), (vec![], 3));
}

/// Nobody but the first commit knows where a partition began that is read from its newest message on. What an attempt
/// before it, of which nothing was committed, had put down does not count.
#[test]
fn where_partitions_begin_is_all_known_or_none_of_it() {
    let mut cut = 0;
    for came_to_nothing in 0.. {
        for call in 0.. {
            let memory = Memory::default();
            let stopped = |call| Faulty::new(Arc::new(memory.clone()), [(call, Fault::StopAfter)]);
            let _ = begin("before", Position(9), &stopped(came_to_nothing));
            if WORLD.sink(&memory).progress(FLOW).unwrap().is_some() {
                assert!(cut > 0, "no crash came between two partitions");
                println!("{cut} crashes between two partitions, after {came_to_nothing} before them");
                return;
            }
            let whole = begin("first", Position(5), &stopped(call)).is_ok();
            if let Some(progress) = WORLD.sink(&memory).progress(FLOW).unwrap() {
                let what = format!("stopped after {came_to_nothing}, and after {call}");
                assert_eq!(progress.positions.to_string(), "0: 5, 1: 5, 2: 5", "{what}");
                let batches = files(&memory, "").iter().filter(|name| name.ends_with("-batch-0.parquet")).count();
                cut += usize::from(batches < 3);
            }
            if whole {
                break;
            }
        }
    }
}

/// A run that was stopped after the first `k` of its renames leaves `k` partitions a batch ahead: each goes on from
/// where it stands.
#[test]
fn a_commit_cut_after_every_partition() {
    let mut cuts = BTreeSet::new();
    for call in 0.. {
        let memory = Memory::default();
        let faulty = Faulty::new(Arc::new(memory.clone()), [(call, Fault::StopAfter)]);
        if WORLD.live(&WORLD.sink(&faulty), "stopped").is_ok() {
            break;
        }
        let progress = WORLD.sink(&memory).progress(FLOW).unwrap();
        let positions = progress.as_ref().map(|progress| progress.positions.to_string());
        cuts.insert(positions.clone());
        WORLD.live(&WORLD.sink(&memory), "next").unwrap();
        WORLD.assert_whole(&memory, &format!("stopped after call {call}, at {positions:?}"));
    }
    println!("{cuts:?}");
    for cut in ["0: 3, 1: 0, 2: 0", "0: 3, 1: 3, 2: 0", "0: 3, 1: 3, 2: 3", "0: 6, 1: 3, 2: 3", "0: 6, 1: 6, 2: 3"] {
        assert!(cuts.contains(&Some(cut.to_owned())), "{cut}");
    }
}

/// `partition-N.json` shortens the search; whatever it says, the footers decide, and a run puts it right.
#[test]
fn a_hint_is_never_believed() {
    let right = "{\"batch_id\": 2, \"offset\": 9}\n";
    let hints: [(&str, Option<&str>); 8] = [
        ("right", Some(right)),
        ("one batch behind", Some("{\"batch_id\": 1, \"offset\": 6}")),
        ("far behind", Some("{\"batch_id\": 0, \"offset\": 3}")),
        ("ahead of the files", Some("{\"batch_id\": 7, \"offset\": 24}")),
        ("out of range", Some("{\"batch_id\": 18446744073709551615, \"offset\": 24}")),
        ("another offset", Some("{\"batch_id\": 2, \"offset\": 8}")),
        ("cut", Some("{\"batch_id\": 2,")),
        ("gone", None),
    ];
    for (name, hint) in hints {
        let memory = archive();
        memory.delete("partition-1.json").unwrap();
        if let Some(hint) = hint {
            write(&memory, "partition-1.json", hint.as_bytes());
        }
        let progress = WORLD.sink(&memory).progress(FLOW).unwrap().unwrap();
        assert_eq!(progress.positions.to_string(), "0: 9, 1: 9, 2: 9", "{name}");
        assert_eq!((progress.version, progress.totals.read), (Version(2), 27), "{name}");
        WORLD.sink(&memory).open(&run("next")).unwrap();
        assert_eq!(text(&memory, "partition-1.json"), right, "{name}");
        WORLD.assert_whole(&memory, name);
    }
}

/// A restart makes as many calls after 10,000 batches of each partition as after three, and lists none of them.
#[test]
fn restart_does_not_grow_with_history() {
    let memory = archive();
    let counted = || {
        let faulty = Faulty::new(Arc::new(memory.clone()), []);
        let opened = WORLD.sink(&faulty).open(&run("counting")).unwrap();
        (opened.progress.unwrap(), faulty.counts())
    };
    counted();
    let (few, calls) = counted();
    for n in 0..3 {
        let newest = memory.read(&format!("partition-{n}-batch-2.parquet")).unwrap();
        (3..10_000).for_each(|m| write(&memory, &format!("partition-{n}-batch-{m}.parquet"), b"old"));
        let last = format!("partition-{n}-batch-9999.parquet");
        replace(&memory, &last, &newest);
        rewrite(&memory, &last, |record| record["known"]["batches"] = 9_999.into());
        replace(&memory, &format!("partition-{n}.json"), b"{\"batch_id\": 9999, \"offset\": 9}\n");
    }
    let (many, same) = counted();
    println!("30,000 files: {same:?}");
    assert_eq!((few.positions, calls), (many.positions, same.clone()));
    assert_eq!(
        same[&Call::List],
        5,
        "the partitions and what is staged, before and after the takeover, and where earlier versions staged"
    );
    memory.delete("partition-1.json").unwrap();
    assert_eq!(counted().1[&Call::List], 7, "without a hint the names are listed");
}

/// Wherever a run stops, `partition-N.json` is there for whoever reads it, and the next start lists no files.
#[test]
fn a_crash_leaves_every_hint_in_its_place() {
    let longer = Job { positions: 12, ..WORLD.job }.laid_out(Layout::Flat);
    for call in 0.. {
        let memory = archive();
        let stopped = Faulty::new(Arc::new(memory.clone()), [(call, Fault::StopAfter)]);
        if longer.live(&longer.sink(&stopped), "stopped").is_ok() {
            println!("stopped after each of {call} calls");
            break;
        }
        let hints = (0..3).map(|n| format!("partition-{n}.json"));
        hints.for_each(|hint| assert!(memory.read(&hint).is_ok(), "{hint} is gone after call {call}"));
        let counted = Faulty::new(Arc::new(memory), []);
        longer.sink(&counted).open(&run("next")).unwrap();
        assert_eq!(counted.counts()[&Call::List], 5, "after call {call}");
    }
}

/// Where the list of partitions is gone, or was never finished, it is made anew from the files.
#[test]
fn lost_markers_are_made_anew() {
    let memory = archive();
    memory.delete("_partitions").unwrap();
    write(&memory, "_partitions/partition-1", b"");
    assert_eq!(WORLD.sink(&memory).progress(FLOW).unwrap().unwrap().positions.to_string(), "0: 9, 1: 9, 2: 9");
    WORLD.sink(&memory).open(&run("next")).unwrap();
    assert_eq!(files(&memory, "_partitions").len(), 4);
    WORLD.assert_whole(&memory, "markers made anew");
}

#[test]
fn a_directory_of_the_other_layout_is_refused_untouched() {
    let batches = WORLD.job.laid_out(Layout::Batches);
    let opened = Memory::default();
    WORLD.sink(&opened).open(&run("first")).unwrap();
    let old = Memory::default();
    write(&old, "partition-0-batch-0.parquet", b"");
    let of_batches = Memory::default();
    batches.live(&batches.sink(&of_batches), "first").unwrap();
    let cases = [
        (batches, archive(), "\"flat\""),
        (batches, opened, "\"flat\""),
        (batches, old, "\"flat\""),
        (WORLD, of_batches, "\"batches\""),
    ];
    for (world, memory, layout) in cases {
        let before = files(&memory, "");
        for error in [world.sink(&memory).open(&run("next")).err(), world.sink(&memory).progress(FLOW).err()] {
            let Some(Error::Refused { reason, .. }) = error else { panic!("{error:?}") };
            assert!(reason.contains(&format!("layout = {layout}")), "{reason}");
        }
        assert_eq!(files(&memory, ""), before);
    }
}

#[test]
fn the_directory_of_another_flow_is_refused_untouched() {
    let memory = archive();
    write(&memory, "_staging/run=another/attempt=7/partition-0.parquet", b"");
    let before = files(&memory, "");
    let other = operators_core::progress::Run { id: "x".to_owned(), flow: "weather/publish".to_owned() };
    assert!(matches!(WORLD.sink(&memory).open(&other), Err(Error::Refused { .. })));
    assert!(matches!(WORLD.sink(&memory).progress(&other.flow), Err(Error::Refused { .. })));
    assert_eq!(files(&memory, ""), before);
}

/// A run does not start from what it would have to guess.
#[test]
fn a_damaged_newest_batch_stops_the_start() {
    const NEWEST: &str = "partition-1-batch-2.parquet";
    let damages: [fn(&Memory); 7] = [
        |s| rewrite(s, NEWEST, |record| record["known"]["batches"] = 3.into()),
        |s| replace(s, NEWEST, b""),
        |s| replace(s, NEWEST, b"no parquet"),
        |s| replace(s, NEWEST, &s.read(NEWEST).unwrap()[..200]),
        |s| replace(s, NEWEST, &s.read("partition-0-batch-2.parquet").unwrap()),
        |s| rewrite(s, NEWEST, |record| record["fingerprint"]["source.topic"] = "other".into()),
        |s| rewrite(s, NEWEST, |record| record["source"] = "a recreated topic".into()),
    ];
    for damage in damages {
        let memory = archive();
        damage(&memory);
        let before = files(&memory, "");
        for error in [WORLD.sink(&memory).open(&run("next")).err(), WORLD.sink(&memory).progress(FLOW).err()] {
            let Some(Error::Damaged { path, reason }) = error else { panic!("{error:?}") };
            println!("{path}: {reason}");
        }
        assert_eq!(files(&memory, ""), before, "and touches nothing");
    }
}

/// Files deleted under a running program stop it: the next batch must not be published alone.
#[test]
fn a_directory_deleted_under_us_stops_the_flow() {
    let memory = Memory::default();
    let deleted = WORLD.live_telling(&WORLD.sink(&memory), "one", |version| {
        if version == Version(1) {
            files(&memory, "").iter().filter(|path| path.contains("-batch-")).for_each(|path| {
                memory.delete(path).unwrap();
            });
        }
    });
    let error = deleted.unwrap_err().to_string();
    assert!(error.contains("batch 1 of partition 0 is gone"), "{error}");
    assert!(memory.read("partition-0-batch-2.parquet").is_err());
}

/// Two runs meet in the middle of a commit: what the loser published before stays, and it says so.
#[test]
fn a_loser_tells_what_it_published() {
    let memory = archive();
    let longer = Job { positions: 12, ..WORLD.job }.laid_out(Layout::Flat);
    let first = memory.read("partition-1-batch-2.parquet").unwrap();
    let sink = longer.sink(&memory);
    let opened = sink.open(&run("second")).unwrap();
    // Another copy was first with partition 1.
    write(&memory, "partition-1-batch-3.parquet", &first);
    rewrite(&memory, "partition-1-batch-3.parquet", |record| record["run"]["id"] = "other".into());
    let error = longer.commit_once(&sink, opened, "second").unwrap_err();
    let Error::Fenced { reason, .. } = error else { panic!("{error}") };
    assert!(reason.contains("run other was first with batch 3 of partition 1"), "{reason}");
    assert!(reason.contains("batch 3 of partition 0 came before it and stay"), "{reason}");
    assert_eq!(record(&memory, "partition-0-batch-3.parquet")["run"]["id"], "second");
    assert!(memory.read("partition-2-batch-3.parquet").is_err());
}

#[test]
fn what_the_layout_cannot_hold_is_refused_by_check() {
    let config: ParquetConfig = serde_json::from_str(r#"{ "url": "file:archive", "layout": "flat" }"#).unwrap();
    let context = Context { dir: "/pipelines".into() };
    let build = |inflow| config.build(&crate::archive_world::schema(), inflow, &context);
    assert!(build(Inflow::default()).is_ok());
    for (inflow, says) in [
        (Inflow { partitions: Some(4), dead_letters: false }, "partition.source"),
        (Inflow { partitions: None, dead_letters: true }, "on_error"),
    ] {
        let problems = build(inflow).err().unwrap();
        assert_eq!((problems.len(), &problems[0].at[..]), (1, &["layout".to_owned()][..]));
        assert!(problems[0].help.as_ref().unwrap().contains(says), "{problems:?}");
    }
}
