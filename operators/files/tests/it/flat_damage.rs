//! The audit of the flat layout can fail: each kind of damage is reported, at the place where it is.

use crate::archive_world::flat_file::rewrite;
use crate::archive_world::{Job, World, assert_reported, audit, files, replace, run, write};
use files::sink::Layout;
use files::store::memory::Memory;
use files::store::{Entry, Result, Store, StoreFile, StoreReader};
use operators_core::Error;
use operators_core::inspect::Ground;
use operators_core::stage::{Audit, Sink};
use serde_json::{Value, json};
use std::time::SystemTime;

const WORLD: World = Job { partitions: 3, positions: 15, step: 3 }.laid_out(Layout::Flat);

const SECOND: &str = "partition-1-batch-1.parquet";
const THIRD: &str = "partition-1-batch-2.parquet";
const FOURTH: &str = "partition-1-batch-3.parquet";
const LAST: &str = "partition-1-batch-4.parquet";
const HINT: &str = "partition-1.json";

/// Five batches of three partitions, the second without rows.
fn archive() -> Memory {
    let memory = Memory::default();
    WORLD.live(&WORLD.sink(&memory), "run").unwrap();
    memory
}

/// Expects a finding whose path begins as given.
fn reported(name: &str, place: &str, damage: impl FnOnce(&Memory)) {
    let memory = archive();
    damage(&memory);
    assert_reported(&WORLD.sink(&memory), name, place);
}

/// Nothing is left of a partition but that it was there.
fn vanish(store: &Memory) {
    let of_it = |file: &&String| file.starts_with("partition-1-") || *file == HINT;
    files(store, "").iter().filter(of_it).for_each(|file| assert!(store.delete(file).unwrap()));
}

fn copy(store: &Memory, from: &str, to: &str) {
    replace(store, to, &store.read(from).unwrap());
}

#[test]
fn an_archive_without_damage_has_no_findings() {
    let (findings, account) = audit(&WORLD.sink(&archive()));
    assert_eq!(findings, []);
    assert_eq!((account.batches, account.files, account.spans.len()), (15, 15, 3));
    assert_eq!((account.rows, account.totals.read), (account.totals.written, 45));
    let nothing = audit(&WORLD.sink(&Memory::default()));
    assert_eq!((nothing.0, nothing.1.batches), (vec![], 0), "an archive that is not there holds nothing");
    let mut findings = 0;
    WORLD.sink(&archive()).audit("weather/publish", &mut |_| findings += 1).unwrap();
    assert!(findings > 0, "it is another flow's");
}

#[test]
fn damage_to_files() {
    for (name, path) in [("first", "partition-1-batch-0.parquet"), ("one without rows", SECOND), ("third", THIRD)] {
        reported(&format!("{name} deleted"), path, |s| assert!(s.delete(path).unwrap()));
    }
    reported("newest deleted", HINT, |s| assert!(s.delete(LAST).unwrap()));
    for keep in [0, 1, 4, 100, 500] {
        reported(&format!("cut to {keep} bytes"), THIRD, |s| replace(s, THIRD, &s.read(THIRD).unwrap()[..keep]));
    }
    reported("one byte more", THIRD, |s| replace(s, THIRD, &[s.read(THIRD).unwrap(), vec![0]].concat()));
    reported("replaced by the next", THIRD, |s| copy(s, FOURTH, THIRD));
    reported("replaced by an older one", LAST, |s| copy(s, FOURTH, LAST));
    reported("replaced by another partition's", THIRD, |s| copy(s, &THIRD.replace("n-1", "n-0"), THIRD));
    reported("newest copied under the next number", "partition-1-batch-5.parquet", |s| {
        copy(s, LAST, "partition-1-batch-5.parquet");
    });
    reported("copied as another partition", "partition-7-batch-0.parquet", |s| {
        copy(s, "partition-1-batch-0.parquet", "partition-7-batch-0.parquet");
    });
    reported("two changed places", THIRD, |s| {
        s.rename(THIRD, "aside").unwrap();
        s.rename(FOURTH, THIRD).unwrap();
        s.rename("aside", FOURTH).unwrap();
    });
    reported("moved to a later number", "partition-1-batch-4.parquet", |s| {
        s.rename(LAST, "partition-1-batch-6.parquet").unwrap();
    });
    reported("replaced by a directory", THIRD, |s| {
        s.delete(THIRD).unwrap();
        write(s, &format!("{THIRD}/x"), b"");
    });
    reported("all of a partition deleted", HINT, |s| {
        files(s, "").iter().filter(|f| f.starts_with("partition-1-batch")).for_each(|f| assert!(s.delete(f).unwrap()));
    });
    reported("all of a partition deleted, its hint too", "_partitions", vanish);
}

/// A partition that had files is not read from its beginning as if it were new.
#[test]
fn a_partition_that_vanished_stops_the_start() {
    let memory = archive();
    vanish(&memory);
    let error = WORLD.sink(&memory).open(&run("next")).err().unwrap();
    let Error::Damaged { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("3 partitions had files, and now 2 have"), "{reason}");
}

fn add(value: &mut Value, n: i64) {
    *value = json!(value.as_i64().unwrap() + n);
}

#[test]
fn an_edited_record() {
    type Edit = (&'static str, fn(&mut Value));
    let edits: [Edit; 21] = [
        ("flow", |r| r["run"]["flow"] = json!("weather/publish")),
        ("version", |r| r["version"] = json!(1)),
        ("fingerprint", |r| r["fingerprint"]["source.topic"] = json!("other")),
        ("fingerprint gone", |r| r["fingerprint"] = json!({})),
        ("source", |r| r["source"] = json!("a recreated topic")),
        ("source gone", |r| r["source"] = Value::Null),
        ("partition", |r| r["span"]["partition"] = json!(2)),
        ("from ahead", |r| add(&mut r["span"]["from"], 1)),
        ("from behind", |r| add(&mut r["span"]["from"], -1)),
        ("to ahead", |r| add(&mut r["span"]["to"], 1)),
        ("to behind", |r| add(&mut r["span"]["to"], -1)),
        ("backwards", |r| r["span"]["to"] = json!(2)),
        ("rows read", |r| add(&mut r["span"]["rows"], -1)),
        ("rows read, twice", |r| {
            add(&mut r["span"]["rows"], 1);
            add(&mut r["tally"]["read"], 1);
            add(&mut r["tally"]["filtered"], 1);
        }),
        ("written", |r| add(&mut r["tally"]["written"], -1)),
        ("rows moved from written to filtered", |r| {
            add(&mut r["tally"]["written"], -1);
            add(&mut r["tally"]["filtered"], 1);
        }),
        ("known batches", |r| add(&mut r["known"]["batches"], -1)),
        ("known totals", |r| add(&mut r["known"]["totals"]["read"], 1)),
        ("known partitions", |r| add(&mut r["known"]["partitions"], 1)),
        ("known batches to come", |r| r["known"]["batches"] = json!(9)),
        ("unknown key", |r| r["extra"] = json!(1)),
    ];
    for (name, change) in edits {
        let place = if name == "known partitions" { "archive/_partitions" } else { "archive/partition-1-batch" };
        let memory = archive();
        rewrite(&memory, THIRD, change);
        let (mut findings, _) = audit(&WORLD.sink(&memory));
        // The digest that a later file has of this one gives away any change; here it is to be what the record says.
        findings.retain(|finding| !finding.problem.contains("follows another batch"));
        assert!(findings.iter().any(|finding| finding.path.starts_with(place)), "{name}: {findings:#?}");
        println!("{name}: {}: {}", findings[0].path, findings[0].problem);
    }
    println!("{} edits of a record, each reported", edits.len());
}

#[test]
fn every_flipped_bit_is_reported() {
    let world = Job { partitions: 1, positions: 6, step: 3 }.laid_out(Layout::Flat);
    for path in ["partition-0-batch-0.parquet", "partition-0-batch-1.parquet"] {
        let memory = Memory::default();
        world.live(&world.sink(&memory), "run").unwrap();
        let whole = memory.read(path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            replace(&memory, path, &bytes);
            assert_ne!(audit(&WORLD.sink(&memory)).0, [], "{path}, byte {at}");
        }
        println!("{path}: {} flips, each reported", whole.len());
    }
}

/// A file that is sound by itself and fits in all but the history.
#[test]
fn a_file_of_another_history_is_reported() {
    for path in ["partition-1-batch-0.parquet", SECOND, THIRD, FOURTH] {
        let memory = archive();
        rewrite(&memory, path, |record| add(&mut record["attempt"], 7));
        let (findings, _) = audit(&WORLD.sink(&memory));
        assert!(findings.iter().all(|finding| finding.problem.contains("follows another batch")), "{findings:#?}");
        assert_ne!(findings, [], "{path}");
    }
}

#[test]
fn a_file_that_lost_its_digests_is_reported() {
    for path in [SECOND, THIRD, LAST] {
        let memory = archive();
        rewrite(&memory, path, |record| drop(record.as_object_mut().unwrap().remove("before")));
        assert_reported(&WORLD.sink(&memory), "without digests", path);
    }
}

#[test]
fn hints() {
    let cases = [
        ("ahead", "{\"batch_id\": 5, \"offset\": 18}"),
        ("another offset", "{\"batch_id\": 4, \"offset\": 14}"),
        ("one behind with another offset", "{\"batch_id\": 3, \"offset\": 13}"),
        ("two behind", "{\"batch_id\": 2, \"offset\": 9}"),
        ("empty", ""),
        ("cut", "{\"batch_id\": 4, \"off"),
    ];
    for (name, text) in cases {
        reported(name, HINT, |s| replace(s, HINT, text.as_bytes()));
    }
    reported("of no partition", "partition-8.json", |s| write(s, "partition-8.json", b"{}"));
    let crash = archive();
    replace(&crash, HINT, b"{\"batch_id\": 3, \"offset\": 12}");
    crash.delete("partition-2.json").unwrap();
    assert_eq!(audit(&WORLD.sink(&crash)).0, [], "as crashes leave them: one behind, or gone");
}

#[test]
fn strays() {
    let paths = [
        "notes.txt",
        "partition-1-batch-02.parquet",
        "partition-01-batch-2.parquet",
        "partition-1-batch-2.parquet.crc",
        "_dead-letters-1-batch-2.parquet",
        "_dead-letters-1-batch-2.dlq",
        ".partition-1-batch-2.parquet",
        "_SUCCESS",
        "partition-01.json",
        "partition-1",
        "segment=000000/file",
        "_partitions/notes",
        "_partitions/partition-01",
    ];
    for path in paths {
        reported("stray", path.strip_suffix("/file").unwrap_or(path), |store| write(store, path, b"x"));
    }
    for leftover in ["_staging", "_weatherflow-probe"] {
        reported("a leftover is a file", leftover, |store| write(store, leftover, b""));
    }
    reported("marker deleted", "_partitions", |store| assert!(store.delete("_partitions/partition-1").unwrap()));
    let memory = archive();
    for ignored in
        ["_staging/anything", "_weatherflow-probe/empty", "@staging/anything", ".x", "lost+found/x", "x.db-wal"]
    {
        write(&memory, ignored, b"x");
    }
    write(&memory, "_partitions/partition-9", b"");
    assert_eq!(audit(&WORLD.sink(&memory)).0, [], "what is staged is nobody's, and a partition may have begun");
}

/// Whatever bytes a file has, the audit ends; it reports every flip in what it can check.
#[test]
fn flipped_bits_are_no_panic() {
    let world = Job { partitions: 1, positions: 6, step: 3 }.laid_out(Layout::Flat);
    let (memory, path) = (Memory::default(), "partition-0-batch-0.parquet");
    world.live(&world.sink(&memory), "run").unwrap();
    let whole = memory.read(path).unwrap();
    let mut reported = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        replace(&memory, path, &bytes);
        reported += usize::from(!audit(&world.sink(&memory)).0.is_empty());
    }
    println!("{} flips, {reported} reported: a flip within a value makes another value", whole.len());
    assert!(reported * 2 > whole.len());
}

/// A directory whose flow commits twice while it is listed: the list has the names of the second of these commits, and
/// not those of the first, as lists of directories may.
#[derive(Clone)]
struct Busy(Memory);

const BUSY: World = Job { partitions: 3, positions: 30, step: 3 }.laid_out(Layout::Flat);

impl Busy {
    fn commit(&self) {
        let sink = BUSY.sink(&self.0);
        let opened = sink.open(&run("run")).unwrap();
        assert_eq!(BUSY.commit_once(&sink, opened, "run").unwrap(), 1);
    }
}

impl Store for Busy {
    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let mut names = self.0.list(path)?;
        if path.is_empty() {
            self.commit();
            let passed_over = self.0.list(path)?;
            self.commit();
            names.extend(self.0.list(path)?.into_iter().filter(|entry| !passed_over.contains(entry)));
        }
        Ok(names)
    }

    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>> {
        self.0.create(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.0.read(path)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>> {
        self.0.open(path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.rename(from, to)
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        self.0.replace(from, to)
    }

    fn delete(&self, path: &str) -> Result<bool> {
        self.0.delete(path)
    }

    fn delete_empty(&self, path: &str) -> Result<bool> {
        self.0.delete_empty(path)
    }

    fn modified(&self, path: &str) -> Result<SystemTime> {
        self.0.modified(path)
    }

    fn root(&self) -> Result<Ground> {
        self.0.root()
    }

    fn staging(&self) -> Result<Ground> {
        self.0.staging()
    }

    fn staging_place(&self) -> String {
        self.0.staging_place()
    }

    fn staging_advice(&self) -> String {
        self.0.staging_advice()
    }
}

#[test]
fn a_flow_that_commits_meanwhile_has_no_findings() {
    let busy = Busy(Memory::default());
    busy.commit();
    let (findings, account) = audit(&BUSY.sink(&busy));
    assert_eq!(findings, []);
    let later = audit(&BUSY.sink(&busy.0)).1;
    assert!(account.batches >= 3 && account.batches < later.batches, "{account:?} {later:?}");
}
