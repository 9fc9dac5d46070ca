//! Readers that take every `*.parquet` below the directory find committed rows and nothing else, after each call of a
//! store, in both layouts, with dead letters, through crashes.

use crate::archive_world::flat_file::record;
use crate::archive_world::{Job, World, files, rows};
use files::sink::Layout;
use files::store::faulty::{Fault, Faulty};
use files::store::memory::Memory;
use files::store::{Entry, EntryKind, Result, Store, StoreFile, StoreReader};
use operators_core::inspect::Ground;
use serde_json::Value;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

in_both_layouts! {
    no_reader_finds_what_is_not_committed
}

/// A store whose files are looked at after each call that may have changed them.
#[derive(Clone)]
struct Watched {
    memory: Memory,
    world: World,
    /// Those that were looked at already; nothing changes a file that is committed.
    known: Arc<Mutex<Vec<String>>>,
    looks: Arc<AtomicU64>,
}

impl Watched {
    fn new(memory: &Memory, world: World, looks: &Arc<AtomicU64>) -> Self {
        Self { memory: memory.clone(), world, known: Arc::default(), looks: Arc::clone(looks) }
    }

    fn look<T>(&self, answer: T) -> T {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut there = files(&self.memory, "");
        there.retain(|path| path.ends_with(".parquet"));
        let mut known = self.known.lock().unwrap();
        if *known == there {
            return answer;
        }
        for path in &there {
            assert!(self.is_committed(path), "{path} is there and not committed");
        }
        *known = there;
        let expected = self.world.expected();
        for (partition, found) in rows(&self.memory) {
            assert!(expected[&partition].written.starts_with(&found.written), "partition {partition}: {found:?}");
        }
        answer
    }

    fn is_committed(&self, path: &str) -> bool {
        if self.world.layout == Layout::Flat {
            let commit = record(&self.memory, path);
            return path.starts_with(&format!("partition-{}-batch-", commit["span"]["partition"]));
        }
        let (batch, name) = path.rsplit_once('/').unwrap();
        let Ok(checkpoint) = self.memory.read(&format!("{batch}/_checkpoint.json")) else { return false };
        let checkpoint: Value = serde_json::from_slice(&checkpoint).unwrap();
        let bytes = self.memory.read(path).unwrap().len();
        let is_it = |file: &Value| file["name"] == name && file["bytes"] == bytes;
        checkpoint["files"].as_array().unwrap().iter().any(is_it)
    }
}

impl Store for Watched {
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>> {
        let file = self.look(self.memory.create(path))?;
        Ok(Box::new(WatchedFile { file, watched: self.clone() }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.memory.read(path)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>> {
        self.memory.open(path)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        self.memory.list(path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.look(self.memory.rename(from, to))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        self.look(self.memory.replace(from, to))
    }

    fn delete(&self, path: &str) -> Result<bool> {
        self.look(self.memory.delete(path))
    }

    fn delete_empty(&self, path: &str) -> Result<bool> {
        self.look(self.memory.delete_empty(path))
    }

    fn modified(&self, path: &str) -> Result<SystemTime> {
        self.memory.modified(path)
    }

    fn root(&self) -> Result<Ground> {
        self.memory.root()
    }

    fn staging(&self) -> Result<Ground> {
        self.memory.staging()
    }

    fn staging_place(&self) -> String {
        self.memory.staging_place()
    }

    fn staging_advice(&self) -> String {
        self.memory.staging_advice()
    }
}

struct WatchedFile {
    file: Box<dyn StoreFile>,
    watched: Watched,
}

impl Write for WatchedFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data);
        self.watched.look(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoreFile for WatchedFile {
    fn finish(self: Box<Self>) -> Result<()> {
        let finished = self.file.finish();
        self.watched.look(finished)
    }
}

fn no_reader_finds_what_is_not_committed(layout: Layout) {
    let world = Job { partitions: 2, positions: 12, step: 3 }.laid_out(layout);
    let looks = Arc::new(AtomicU64::new(0));
    let survive = |plan: &[(u64, Fault)]| {
        let memory = Memory::default();
        let watched = Watched::new(&memory, world, &looks);
        let faulty = Faulty::new(Arc::new(watched.clone()), plan.iter().copied());
        if world.live(&world.sink(&faulty), "first").is_err() {
            memory.crash(plan[0].0);
            watched.look(());
            faulty.restart();
            world.live(&world.sink(&faulty), "second").unwrap();
        }
        faulty.settle();
        world.assert_whole(&memory, &format!("{plan:?}"));
        let letters = files(&memory, "").iter().filter(|path| path.ends_with(".dlq")).count();
        assert_eq!(letters > 0, layout == Layout::Batches, "{plan:?}: dead letters were written");
        faulty.made()
    };
    let calls = survive(&[]);
    for fault in [Fault::StopBefore, Fault::StopAfter, Fault::Unanswered, Fault::Late(5)] {
        for call in 0..calls {
            survive(&[(call, fault)]);
        }
    }
    println!("{layout:?}: {calls} calls, each with 4 faults, {} looks", looks.load(Ordering::Relaxed));
}

/// The test can fail: a file that is staged within the directory is seen.
#[test]
#[should_panic(expected = "is there and not committed")]
fn a_staged_file_within_the_directory_is_noticed() {
    let world = Job { partitions: 1, positions: 3, step: 3 }.laid_out(Layout::Batches);
    let watched = Watched::new(&Memory::default(), world, &Arc::default());
    let name = "segment=000000/batch=00000000000000000000/partition-0-batch-0.parquet";
    drop(watched.create(name).unwrap());
}

#[test]
fn the_root_of_a_store_does_not_show_what_is_staged() {
    let memory = Memory::default();
    crate::archive_world::write(&memory, "@staging/run=x/partition-0.parquet", b"");
    assert!(memory.list("").is_err(), "the root is not there yet");
    crate::archive_world::write(&memory, "file", b"");
    let shown = memory.list("").unwrap();
    assert_eq!(shown, [Entry { name: "file".to_owned(), kind: EntryKind::File(0) }]);
}
