//! The audit can fail: each kind of damage to an archive is reported, at the place where it is.

use crate::archive_world::flat_file::BLANK;
use crate::archive_world::{FLOW, Job, assert_reported, audit, files, replace, run, sink, write};
use files::store::Store;
use files::store::faulty::{Fault, Faulty};
use files::store::memory::Memory;
use operators_core::Error;
use operators_core::stage::{Audit, Sink};
use serde_json::{Value, json};
use std::sync::Arc;

const JOB: Job = Job { partitions: 4, positions: 15, step: 3 };

const FIRST: &str = "segment=000000/batch=00000000000000000000";
const NO_ROWS: &str = "segment=000000/batch=00000000000000000001";
const THIRD: &str = "segment=000000/batch=00000000000000000002";
const FOURTH: &str = "segment=000000/batch=00000000000000000003";
const LAST: &str = "segment=000000/batch=00000000000000000004";
const NEXT: &str = "segment=000000/batch=00000000000000000005";

/// Five batches, the last two with the same number of rows.
fn archive() -> Memory {
    let memory = Memory::default();
    JOB.live(&sink(&memory), "run").unwrap();
    memory
}

/// Expects a finding whose path begins as given.
fn reported(name: &str, place: &str, damage: impl FnOnce(&Memory)) -> usize {
    let memory = archive();
    damage(&memory);
    assert_reported(&sink(&memory), name, place);
    1
}

fn copy(store: &Memory, from: &str, to: &str) {
    for path in files(store, from) {
        write(store, &path.replace(from, to), &store.read(&path).unwrap());
    }
}

fn copy_file(store: &Memory, from: &str, to: &str) {
    let bytes = store.read(from).unwrap();
    replace(store, to, &bytes);
}

#[test]
fn an_archive_without_damage_has_no_findings() {
    let memory = archive();
    let (findings, account) = audit(&sink(&memory));
    assert_eq!(findings, []);
    assert_eq!((account.batches, account.files), (5, 10));
    assert_eq!(account.rows, account.totals.written);
    assert_eq!(account.totals.read, 60);
    assert_eq!(account.totals.dead_letters, 4);
    assert_eq!(audit(&sink(&Memory::default())).1.batches, 0, "an archive that is not there holds nothing");
}

/// More batches than are read at a time.
#[test]
fn damage_is_reported_in_the_order_of_history() {
    let (memory, job) = (Memory::default(), Job { positions: 120, ..JOB });
    job.live(&sink(&memory), "run").unwrap();
    let mut damaged = files(&memory, "segment=000000");
    damaged.retain(|path| !path.ends_with(".json"));
    damaged.sort_unstable();
    assert!(damaged.len() > 40, "{damaged:?}");
    damaged.iter().for_each(|path| replace(&memory, path, b""));
    let (findings, account) = audit(&sink(&memory));
    let unreadable = findings.iter().filter(|finding| finding.problem.starts_with("its digest does not match"));
    let mut told: Vec<_> =
        unreadable.filter_map(|finding| finding.path.split_once('/')).map(|(_, path)| path).collect();
    // Within a batch they come as its checkpoint lists them.
    let batch = |path: &str| path.rsplit_once('/').unwrap().0.to_owned();
    assert!(told.is_sorted_by_key(|path| batch(path)), "{told:?}");
    told.sort_unstable();
    assert_eq!((account.batches, told), (40, damaged.iter().map(String::as_str).collect()));
}

#[test]
fn damage_to_files() {
    let rows = |batch: &str, n: u32| format!("{batch}/partition-0-batch-{n}.parquet");
    let (third, fourth, last) = (rows(THIRD, 2), rows(FOURTH, 3), rows(LAST, 4));
    let dead = format!("{THIRD}/_dead-letters-1-batch-2.dlq");
    let mut kinds = 0;
    kinds += reported("deleted", &third, |s| assert!(s.delete(&third).unwrap()));
    kinds += reported("dead letters deleted", &dead, |s| assert!(s.delete(&dead).unwrap()));
    for keep in [0, 1, 4, 100, 500] {
        kinds += reported(&format!("cut to {keep} bytes"), &third, |s| {
            let bytes = s.read(&third).unwrap();
            replace(s, &third, &bytes[..keep]);
        });
    }
    kinds += reported("cut by one byte", &third, |s| {
        let bytes = s.read(&third).unwrap();
        replace(s, &third, &bytes[..bytes.len() - 1]);
    });
    kinds += reported("one byte more", &third, |s| {
        let bytes = [s.read(&third).unwrap(), vec![0]].concat();
        replace(s, &third, &bytes);
    });
    kinds += reported("replaced by an older one", &last, |s| copy_file(s, &fourth, &last));
    kinds += reported("replaced by another partition's", &last, |s| {
        copy_file(s, &last.replace("partition-0", "partition-1"), &last);
    });
    kinds += reported("replaced by a directory", &third, |s| {
        s.delete(&third).unwrap();
        write(s, &format!("{third}/x"), b"");
    });
    kinds += reported("replaced by dead letters", &third, |s| copy_file(s, &dead, &third));
    let doubles =
        ["partition-7-batch-2.parquet", "partition-0-batch-3.parquet", "partition-0.parquet", "copy", "_partition"];
    for double in doubles {
        let double = format!("{THIRD}/{double}");
        kinds += reported("doubled", &double, |s| copy_file(s, &third, &double));
    }
    kinds += reported("doubled into another batch", FOURTH, |s| {
        copy_file(s, &third, &third.replace(THIRD, FOURTH));
    });
    println!("{kinds} kinds of damage to files, each reported");
}

#[test]
fn damage_to_batches() {
    let mut kinds = 0;
    for batch in [FIRST, NO_ROWS, THIRD, FOURTH] {
        kinds += reported("batch removed", batch, |s| assert!(s.delete(batch).unwrap()));
    }
    kinds += reported("batch copied under the next number", NEXT, |s| copy(s, LAST, NEXT));
    kinds += reported("batch copied under the next number and renumbered", NEXT, |s| {
        copy(s, LAST, NEXT);
        edit(s, NEXT, |checkpoint| checkpoint["progress"]["version"] = json!(5));
    });
    kinds += reported("batch moved to a later number", NEXT, |s| s.rename(LAST, NEXT).unwrap());
    kinds += reported("two batches changed places", THIRD, |s| {
        s.rename(THIRD, "aside").unwrap();
        s.rename(FOURTH, THIRD).unwrap();
        s.rename("aside", FOURTH).unwrap();
    });
    let misplaced = "segment=000001/batch=00000000000000000005";
    kinds += reported("batch in a segment where it does not belong", misplaced, |s| copy(s, LAST, misplaced));
    kinds += reported("files of a batch gone, all but the checkpoint", LAST, |s| {
        files(s, LAST).iter().filter(|f| !f.ends_with(".json")).for_each(|f| assert!(s.delete(f).unwrap()));
    });
    kinds += reported("segment removed", FIRST, |s| {
        s.rename("segment=000000", "gone").unwrap();
        write(s, "segment=000001/batch=00000000000000100000/_checkpoint.json", b"{}");
    });
    println!("{kinds} kinds of damage to batches, each reported");
}

/// Changes a checkpoint as someone would who knows how its digest is made, so that only what it says can give it away.
fn edit(store: &Memory, batch: &str, change: impl FnOnce(&mut Value)) {
    let path = format!("{batch}/_checkpoint.json");
    let mut checkpoint: Value = serde_json::from_slice(&store.read(&path).unwrap()).unwrap();
    let before = checkpoint.clone();
    change(&mut checkpoint);
    assert_ne!(checkpoint, before, "the edit must change something");
    if checkpoint["digest"].is_string() {
        checkpoint["digest"] = json!(BLANK);
    }
    replace(store, &path, &sealed(&serde_json::to_string(&checkpoint).unwrap()));
}

/// The text of a record with its digest in the place of [`BLANK`].
fn sealed(text: &str) -> Vec<u8> {
    let digest = format!("blake3:{}", blake3::hash(text.as_bytes()));
    text.replacen(BLANK, &digest, 1).into_bytes()
}

/// As a version without digests would have written it.
fn without_digests(checkpoint: &mut Value) {
    checkpoint["digest"] = Value::Null;
    checkpoint["before"] = Value::Null;
    for file in checkpoint["files"].as_array_mut().unwrap() {
        file["digest"] = Value::Null;
    }
}

fn add(value: &mut Value, n: i64) {
    *value = json!(value.as_i64().unwrap() + n);
}

#[test]
fn an_edited_checkpoint() {
    type Edit = (&'static str, fn(&mut Value));
    let edits: [Edit; 33] = [
        ("version", |c| add(&mut c["progress"]["version"], 1)),
        ("run", |c| c["progress"]["run"]["id"] = json!("another")),
        ("flow", |c| c["progress"]["run"]["flow"] = json!("weather/publish")),
        ("fingerprint", |c| c["progress"]["fingerprint"]["source.topic"] = json!("other")),
        ("fingerprint gone", |c| c["progress"]["fingerprint"] = json!({})),
        ("source", |c| c["progress"]["source"] = json!("a recreated topic")),
        ("source gone", |c| c["progress"]["source"] = Value::Null),
        ("position ahead", |c| add(&mut c["progress"]["positions"]["2"], 1)),
        ("position behind", |c| add(&mut c["progress"]["positions"]["2"], -1)),
        ("position added", |c| c["progress"]["positions"]["9"] = json!(3)),
        ("position gone", |c| drop(c["progress"]["positions"].as_object_mut().unwrap().remove("1"))),
        ("totals", |c| add(&mut c["progress"]["totals"]["read"], 1)),
        ("written", |c| add(&mut c["tally"]["written"], -1)),
        ("rows moved from written to filtered", |c| {
            add(&mut c["tally"]["written"], -1);
            add(&mut c["tally"]["filtered"], 1);
        }),
        ("rows moved from filtered to skipped", |c| {
            add(&mut c["tally"]["filtered"], -1);
            add(&mut c["tally"]["skipped"], 1);
        }),
        ("rows read", |c| add(&mut c["tally"]["read"], 1)),
        ("span from", |c| add(&mut c["spans"][1]["from"], 1)),
        ("span to", |c| add(&mut c["spans"][1]["to"], 1)),
        ("span and its position", |c| {
            add(&mut c["spans"][1]["to"], 1);
            add(&mut c["progress"]["positions"]["1"], 1);
        }),
        ("span's rows", |c| add(&mut c["spans"][1]["rows"], -1)),
        ("span gone", |c| drop(c["spans"].as_array_mut().unwrap().remove(0))),
        ("spans gone", |c| c["spans"] = json!([])),
        ("span doubled", |c| {
            let span = c["spans"][0].clone();
            c["spans"].as_array_mut().unwrap().push(span);
        }),
        ("file's rows", |c| add(&mut c["files"][1]["rows"], 1)),
        ("file's bytes", |c| add(&mut c["files"][1]["bytes"], 1)),
        ("file's name", |c| c["files"][1]["name"] = json!("partition-00-batch-2.parquet")),
        ("file gone", |c| drop(c["files"].as_array_mut().unwrap().remove(2))),
        ("file's digest", |c| c["files"][1]["digest"] = c["files"][0]["digest"].clone()),
        ("file's digest gone", |c| c["files"][1]["digest"] = Value::Null),
        ("record before", |c| c["before"] = c["files"][0]["digest"].clone()),
        ("record before gone", |c| c["before"] = Value::Null),
        ("digest gone", |c| c["digest"] = Value::Null),
        ("all digests gone", without_digests),
    ];
    for (name, change) in edits {
        reported(name, THIRD, |store| edit(store, THIRD, change));
    }
    let texts = ["", "{}", "null", "{\"progress\":", "not json", "[]"];
    for text in texts {
        reported(&format!("`{text}`"), THIRD, |store| {
            replace(store, &format!("{THIRD}/_checkpoint.json"), text.as_bytes());
        });
    }
    reported("unknown key", THIRD, |store| edit(store, THIRD, |c| c["extra"] = json!(1)));
    reported("deleted", THIRD, |store| assert!(store.delete(&format!("{THIRD}/_checkpoint.json")).unwrap()));
    println!("{} edits of a checkpoint, each reported", edits.len() + texts.len() + 2);
}

#[test]
fn strays() {
    let paths = [
        "notes.txt".to_owned(),
        "partition-0-batch-1.parquet".into(),
        "other/file".into(),
        "segment=1/file".into(),
        "segment=0000000/file".into(),
        "_staging2/file".into(),
        "_SUCCESS".into(),
        ".partition-0-batch-1.parquet".into(),
        "_dead-letters-0-batch-1.dlq".into(),
        "_checkpoint.json".into(),
        "segment=000000/notes.txt".into(),
        "segment=000000/batch=2/file".into(),
        "segment=000000/batch=00000000000000100000/_checkpoint.json".into(),
        "segment=000001/file".into(),
        format!("{THIRD}/notes.txt"),
        format!("{THIRD}/_hidden"),
        format!("{THIRD}/.partition-0-batch-2.parquet.crc"),
        format!("{THIRD}/directory/file"),
    ];
    for path in &paths {
        let place = path.strip_suffix("/file").filter(|p| !p.ends_with("segment=000001")).unwrap_or(path);
        let place = place.strip_suffix("/_checkpoint.json").unwrap_or(place);
        reported("stray", place, |store| write(store, path, b"x"));
    }
    for leftover in ["_staging", "_weatherflow-probe"] {
        reported("a leftover is a file", leftover, |store| write(store, leftover, b""));
    }
    println!("{} kinds of strays, each reported", paths.len() + 2);
}

/// What others put into the directory and a run passes over, an audit passes over too.
#[test]
fn what_a_run_ignores_is_no_finding() {
    let memory = archive();
    let paths = [
        "_staging/anything",
        "_weatherflow-probe/empty",
        "@staging/anything",
        ".DS_Store",
        ".snapshot/monday",
        "lost+found/#12",
        "weather.db",
        "weather.db-wal",
        "weather.db-shm",
        "weather.db-journal",
    ];
    for path in paths {
        write(&memory, path, b"x");
        assert_eq!(audit(&sink(&memory)).0, [], "{path}");
        JOB.live(&sink(&memory), "next").unwrap();
    }
}

/// A flipped bit makes another value of a value, which only a digest can tell.
#[test]
fn every_flipped_bit_is_reported() {
    for path in [format!("{FIRST}/partition-0-batch-0.parquet"), format!("{FIRST}/_checkpoint.json")] {
        let memory = Memory::default();
        Job { partitions: 1, positions: 3, step: 3 }.live(&sink(&memory), "run").unwrap();
        let whole = memory.read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            replace(&memory, &path, &bytes);
            assert_ne!(audit(&sink(&memory)).0, [], "{path}, byte {at}");
        }
        println!("{path}: {} flips, each reported", whole.len());
    }
}

/// A batch that another archive committed under the same number fits in all but the history.
#[test]
fn a_batch_of_another_history_is_reported() {
    for batch in [FIRST, NO_ROWS, THIRD, FOURTH] {
        let (memory, other) = (archive(), archive());
        edit(&other, batch, |checkpoint| add(&mut checkpoint["attempt"], 7));
        for path in files(&other, batch) {
            replace(&memory, &path, &other.read(&path).unwrap());
        }
        assert_reported(&sink(&memory), "replaced", "segment=000000");
    }
}

/// A run does not start from what it would have to guess.
#[test]
fn a_damaged_newest_batch_stops_the_start() {
    let damages: [fn(&Memory); 8] = [
        |s| assert!(s.delete(&format!("{LAST}/_checkpoint.json")).unwrap()),
        |s| replace(s, &format!("{LAST}/_checkpoint.json"), b"{\"progress\":"),
        |s| copy(s, LAST, NEXT),
        |s| write(s, "segment=000001/file", b""),
        |s| write(s, "segment=000001/batch=00000000000000100000/_checkpoint.json", b"{}"),
        |s| write(s, "segment=000001", b""),
        // As after a restore that began with the newest segment.
        |s| {
            write(s, "segment=000001/file", b"");
            assert!(s.delete("segment=000000").unwrap());
        },
        |s| {
            write(s, "segment=000001/gone", b"");
            assert!(s.delete("segment=000001/gone").unwrap());
        },
    ];
    for damage in damages {
        let memory = archive();
        damage(&memory);
        assert_ne!(audit(&sink(&memory)).0, [], "what stops a run is a finding");
        let before = files(&memory, "");
        for error in [sink(&memory).open(&run("next")).err(), sink(&memory).progress(FLOW).err()] {
            let Some(Error::Damaged { path, reason }) = error else { panic!("{error:?}") };
            println!("{path}: {reason}");
        }
        assert_eq!(files(&memory, ""), before, "and touches nothing");
    }
}

#[test]
fn the_directory_of_another_flow_is_refused_untouched() {
    let memory = archive();
    write(&memory, "_staging/run=another/attempt=7/partition-0.parquet", b"");
    let before = files(&memory, "");
    let other = operators_core::progress::Run { id: "x".to_owned(), flow: "weather/publish".to_owned() };
    assert!(matches!(sink(&memory).open(&other), Err(Error::Refused { .. })));
    assert!(matches!(sink(&memory).progress(&other.flow), Err(Error::Refused { .. })));
    assert_eq!(files(&memory, ""), before);
    let mut findings = 0;
    sink(&memory).audit(&other.flow, &mut |_| findings += 1).unwrap();
    assert!(findings > 0);
}

/// A server that goes away in the middle says nothing of the files.
#[test]
fn an_audit_without_an_answer_finds_no_damage() {
    let memory = Memory::default();
    let job = Job { partitions: 2, positions: 6, step: 3 };
    job.live(&sink(&memory), "one").unwrap();
    let whole = Faulty::new(Arc::new(memory.clone()), []);
    audit(&sink(&whole));
    for fault in [Fault::Refused, Fault::Unanswered] {
        for call in 0..whole.made() {
            let faulty = Faulty::new(Arc::new(memory.clone()), [(call, fault)]);
            let ended = sink(&faulty).audit(FLOW, &mut |finding| panic!("{fault:?} at {call}: {finding:?}"));
            assert!(matches!(ended, Err(Error::Unavailable { .. })), "{fault:?} at {call}: {ended:?}");
        }
    }
}
