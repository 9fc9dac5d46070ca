//! The contract of a store, written once and run on each implementation.

use files::store::faulty::Faulty;
use files::store::local::Local;
use files::store::memory::Memory;
use files::store::{Cause, Entry, EntryKind, STAGING, Store, StoreError};
use operators_core::inspect::Ground;
use std::io::Write;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, SystemTime};

type Part = (&'static str, fn(&dyn Store));

const SUITE: [Part; 16] = [
    ("a store without a root", no_root),
    ("create, write, finish, read", create),
    ("open and read parts", open),
    ("list", list),
    ("list while names come and go", list_of_a_busy_directory),
    ("rename of a directory", rename_directory),
    ("rename of a file", rename_file),
    ("rename overwrites nothing", no_overwrite),
    ("a file takes the place of another", replace),
    ("delete", delete),
    ("delete of an empty directory", delete_empty),
    ("one winner of a race", race),
    ("when a file was written", modified),
    ("whether files could be made", root),
    ("a staging directory", staging),
    ("whether files could be staged", staging_ground),
];

/// Runs every part on a fresh store.
pub(crate) fn suite<S: Store>(fresh: impl Fn() -> S) {
    for (name, part) in SUITE {
        part(&fresh());
        println!("{name}: kept");
    }
}

#[test]
fn memory() {
    suite(Memory::default);
}

#[test]
fn faulty_without_faults() {
    suite(|| Faulty::new(Arc::new(Memory::default()), []));
}

#[test]
fn local() {
    let directory = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    suite(|| {
        next.set(next.get() + 1);
        Local::new(directory.path().join(format!("{}/below/root", next.get())))
    });
}

fn no_root(store: &dyn Store) {
    assert!(not_found(store.list("")));
    assert!(not_found(store.read("x")));
    assert!(not_found(store.open("x")));
    assert!(!store.delete("x").unwrap());
    write(store, "x", b"");
    assert_eq!(listed(store, ""), [file("x", 0)], "the first file makes the root");
}

fn modified(store: &dyn Store) {
    let minute = Duration::from_secs(60);
    assert!(not_found(store.modified("x")));
    let before = SystemTime::now() - minute;
    write(store, "staged/x", b"x");
    store.rename("staged", "there").unwrap();
    let at = store.modified("there/x").unwrap();
    assert!(before < at && at < SystemTime::now() + minute, "{at:?}");
    write(store, "y", b"y");
    assert_eq!(store.modified("there/x").unwrap(), at, "it stays what it was");
}

fn root(store: &dyn Store) {
    let Ground::Below(above) = store.root().unwrap() else { panic!("nothing is there") };
    assert!(!above.is_empty());
    assert!(not_found(store.list("")), "asking made it");
    write(store, "x", b"x");
    assert_eq!(store.root().unwrap(), Ground::There);
    assert_eq!(listed(store, ""), [file("x", 1)], "asking left something");
}

fn create(store: &dyn Store) {
    let mut open = store.create("a/b/c").unwrap();
    open.write_all(b"one ").unwrap();
    open.write_all(b"two").unwrap();
    open.flush().unwrap();
    open.free().unwrap();
    assert_eq!(open.held(), 0);
    open.finish().unwrap();
    assert_eq!(store.read("a/b/c").unwrap(), b"one two");
    let Err(again) = store.create("a/b/c") else { panic!("created twice") };
    assert!(matches!(again.cause, Cause::AlreadyExists));
    assert_eq!((again.action, again.path.as_str()), ("create", "a/b/c"), "an error says what and where");
    assert!(taken(store.create("a/b")), "a directory has the name");
    assert!(failed(store.create("a/b/c/d")), "below a file");
    assert_eq!(store.read("a/b/c").unwrap(), b"one two");
    assert!(not_found(store.read("a/b/d")) && not_found(store.read("b/c")));
    assert!(failed(store.read("a/b")), "a directory has no bytes");
    drop(store.create("dropped").unwrap());
    assert!(taken(store.create("dropped")), "a name is never used again");
}

fn open(store: &dyn Store) {
    write(store, "x/y", b"0123456789");
    let reader = store.open("x/y").unwrap();
    assert_eq!(reader.length(), 10);
    assert_eq!(reader.read_at(0, 10).unwrap(), "0123456789");
    assert_eq!(reader.read_at(7, 2).unwrap(), "78");
    assert_eq!(reader.read_at(10, 0).unwrap(), "");
    assert!(reader.read_at(9, 2).is_err() && reader.read_at(11, 1).is_err() && reader.read_at(u64::MAX, 1).is_err());
    assert!(not_found(store.open("x/z")));
}

fn list(store: &dyn Store) {
    write(store, "d/one", b"1");
    write(store, "d/two", b"22");
    write(store, "d/d/three", b"333");
    write(store, "d-four", b"4444");
    assert_eq!(listed(store, ""), [directory("d"), file("d-four", 4)]);
    assert_eq!(listed(store, "d"), [directory("d"), file("one", 1), file("two", 2)]);
    assert_eq!(listed(store, "d/d"), [file("three", 3)]);
    assert!(not_found(store.list("e")) && not_found(store.list("d/e")));
    assert!(failed(store.list("d/one")), "a file is no directory");
}

/// What stays is listed each time, whatever happens beside it.
fn list_of_a_busy_directory(store: &dyn Store) {
    const ROUNDS: usize = 200;
    write(store, "d/stays", b"1");
    thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for _ in 0..ROUNDS {
                write(store, "d/comes", b"22");
                assert!(store.delete("d/comes").unwrap());
            }
        });
        while !busy.is_finished() {
            let entries = store.list("d").unwrap();
            assert!(entries.contains(&file("stays", 1)), "{entries:?}");
        }
        busy.join().unwrap();
    });
}

fn rename_directory(store: &dyn Store) {
    write(store, "staging/run/7/a", b"a");
    write(store, "staging/run/7/deep/b", b"b");
    store.rename("staging/run/7", "segment/batch").unwrap();
    assert_eq!(listed(store, "segment/batch"), [file("a", 1), directory("deep")]);
    assert_eq!(store.read("segment/batch/deep/b").unwrap(), b"b");
    assert_eq!(listed(store, "staging/run"), [], "the directory above stays");
    assert!(not_found(store.rename("staging/run/7", "segment/next")), "its source is gone");
    assert!(not_found(store.rename("no/where", "segment/next")));
    assert!(not_found(store.list("segment/next")));
}

fn rename_file(store: &dyn Store) {
    let mut open = store.create("d/open").unwrap();
    open.write_all(b"before ").unwrap();
    store.rename("d/open", "e/moved").unwrap();
    open.write_all(b"after").unwrap();
    match open.finish() {
        Ok(()) => assert_eq!(store.read("e/moved").unwrap(), b"before after", "an open file keeps its handle"),
        Err(error) => assert!(matches!(error.cause, Cause::NotFound), "its name was taken away: {error}"),
    }
    assert!(not_found(store.read("d/open")));
}

/// Also over an empty directory, which plain rename(2) replaces without a word.
fn no_overwrite(store: &dyn Store) {
    write(store, "from/a", b"new");
    write(store, "full/a", b"old");
    write(store, "empty/gone", b"");
    store.delete("empty/gone").unwrap();
    write(store, "file", b"old");
    for target in ["full", "empty", "file"] {
        assert!(taken(store.rename("from", target)), "a directory over {target}");
        assert!(taken(store.rename("from/a", target)), "a file over {target}");
    }
    assert_eq!(store.read("from/a").unwrap(), b"new");
    assert_eq!((store.read("full/a").unwrap(), store.read("file").unwrap()), (b"old".to_vec(), b"old".to_vec()));
    assert_eq!(listed(store, "empty"), []);
}

/// At no moment is the name free.
fn replace(store: &dyn Store) {
    const ROUNDS: usize = 50;
    write(store, "d/staged/0", b"0");
    store.replace("d/staged/0", "d/there").unwrap();
    assert_eq!(store.read("d/there").unwrap(), b"0", "where nothing was");
    thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for round in 1..ROUNDS {
                write(store, &format!("d/staged/{round}"), round.to_string().as_bytes());
                store.replace(&format!("d/staged/{round}"), "d/there").unwrap();
            }
        });
        while !busy.is_finished() {
            assert!(listed(store, "d").iter().any(|entry| entry.name == "there"));
        }
        busy.join().unwrap();
    });
    assert_eq!(store.read("d/there").unwrap(), b"49");
    assert_eq!(listed(store, "d/staged"), []);
    assert!(not_found(store.replace("d/staged/49", "d/there")), "its source is gone");
    assert_eq!(store.read("d/there").unwrap(), b"49");
    write(store, "file", b"");
    assert!(store.replace("file", "d/staged").is_err(), "a directory gives way to nothing");
    assert_eq!(listed(store, "d/staged"), []);
}

fn delete(store: &dyn Store) {
    write(store, "d/e/f", b"1");
    write(store, "d/g", b"2");
    assert!(store.delete("d/g").unwrap());
    assert!(!store.delete("d/g").unwrap());
    assert!(store.delete("d").unwrap(), "with all it holds");
    assert!(!store.delete("d").unwrap());
    assert!(!store.delete("d/e/f").unwrap());
    assert_eq!(listed(store, ""), []);
}

fn delete_empty(store: &dyn Store) {
    assert!(!store.delete_empty("d").unwrap(), "nothing is there");
    write(store, "d/e/f", b"1");
    assert!(!store.delete_empty("d").unwrap() && !store.delete_empty("d/e").unwrap());
    assert_eq!(store.read("d/e/f").unwrap(), b"1");
    assert!(store.delete("d/e/f").unwrap());
    assert!(!store.delete_empty("d").unwrap(), "an empty directory is in it");
    assert!(store.delete_empty("d/e").unwrap() && store.delete_empty("d").unwrap());
    assert!(not_found(store.list("d")));
}

/// It lies outside of the root, and a rename moves names between the two.
fn staging(store: &dyn Store) {
    assert!(not_found(store.list(STAGING)));
    write(store, "@staging/run/a", b"a");
    write(store, "@staging/b", b"bb");
    assert!(not_found(store.list("")), "what is staged makes no root");
    assert_eq!(listed(store, STAGING), [file("b", 2), directory("run")]);
    store.rename("@staging/run", "there/run").unwrap();
    store.rename("@staging/b", "b").unwrap();
    assert_eq!(listed(store, ""), [file("b", 2), directory("there")], "and the root never shows it");
    assert_eq!(listed(store, STAGING), []);
    write(store, "@staging/c", b"c");
    assert!(taken(store.rename("@staging/c", "b")));
    store.replace("@staging/c", "b").unwrap();
    assert_eq!(store.read("b").unwrap(), b"c");
    assert!(store.delete_empty(STAGING).unwrap());
    write(store, "@staging/again", b"");
    assert!(store.delete(STAGING).unwrap() && not_found(store.list(STAGING)));
    write(store, "@staging2", b"");
    assert_eq!(
        listed(store, ""),
        [file("@staging2", 0), file("b", 1), directory("there")],
        "another name is in the root"
    );
}

fn staging_ground(store: &dyn Store) {
    let Ground::Below(above) = store.staging().unwrap() else { panic!("nothing is there") };
    assert!(!above.is_empty() && !store.staging_place().is_empty() && store.staging_advice().contains("`staging`"));
    assert!(not_found(store.list(STAGING)), "asking made it");
    write(store, "@staging/x", b"");
    assert_eq!(store.staging().unwrap(), Ground::There);
}

/// Of many who rename to one name, and of many who create it, exactly one is told that it did.
fn race(store: &dyn Store) {
    const RACERS: usize = 8;
    for round in 0..20 {
        let start = Barrier::new(RACERS);
        let outcomes: Vec<(bool, bool)> = thread::scope(|scope| {
            let racer = |n: usize| {
                let start = &start;
                scope.spawn(move || {
                    let staged = format!("staging/{round}/{n}");
                    write(store, &format!("{staged}/rows"), &[n as u8]);
                    start.wait();
                    let renamed = won(store.rename(&staged, &format!("batches/{round}")));
                    (renamed, won(store.create(&format!("locks/{round}")).map(drop)))
                })
            };
            let racers: Vec<_> = (0..RACERS).map(racer).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|(renamed, _)| *renamed).count(), 1);
        assert_eq!(outcomes.iter().filter(|(_, created)| *created).count(), 1);
        let winner = outcomes.iter().position(|(renamed, _)| *renamed).unwrap();
        assert_eq!(store.read(&format!("batches/{round}/rows")).unwrap(), [winner as u8]);
    }
}

/// What was not finished when the machine stops is lost or cut; what was is whole.
#[test]
fn a_crash_of_memory_takes_what_was_not_finished() {
    let (mut lost, mut cut) = (0, 0);
    for chance in 0..100 {
        let store = Memory::default();
        write(&store, "d/finished", b"whole");
        let mut open = store.create("d/open").unwrap();
        open.write_all(b"0123456789").unwrap();
        store.crash(chance);
        open.write_all(b" from before").unwrap();
        assert_eq!(store.read("d/finished").unwrap(), b"whole");
        match store.read("d/open") {
            Ok(bytes) => {
                assert!(b"0123456789".starts_with(&bytes));
                cut += usize::from(bytes.len() < 10);
            }
            Err(_) => lost += 1,
        }
    }
    println!("of 100 unfinished files {lost} were lost and {cut} cut");
    assert!(lost > 0 && cut > 0);
}

fn write(store: &dyn Store, path: &str, bytes: &[u8]) {
    let mut file = store.create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.finish().unwrap();
}

fn listed(store: &dyn Store, path: &str) -> Vec<Entry> {
    let mut entries = store.list(path).unwrap();
    entries.sort();
    entries
}

fn file(name: &str, bytes: u64) -> Entry {
    Entry { name: name.to_owned(), kind: EntryKind::File(bytes) }
}

fn directory(name: &str) -> Entry {
    Entry { name: name.to_owned(), kind: EntryKind::Directory }
}

fn not_found<T>(result: Result<T, StoreError>) -> bool {
    matches!(cause(result), Some(Cause::NotFound))
}

fn taken<T>(result: Result<T, StoreError>) -> bool {
    matches!(cause(result), Some(Cause::AlreadyExists))
}

fn failed<T>(result: Result<T, StoreError>) -> bool {
    matches!(cause(result), Some(Cause::Failed(_)))
}

fn cause<T>(result: Result<T, StoreError>) -> Option<Cause> {
    result.err().map(|error| error.cause)
}

/// Whether this racer did it; losing is only to be told that the name is taken.
fn won(result: Result<(), StoreError>) -> bool {
    match result {
        Ok(()) => true,
        Err(StoreError { cause: Cause::AlreadyExists, .. }) => false,
        Err(error) => panic!("{error}"),
    }
}
