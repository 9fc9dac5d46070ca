//! A real HDFS whose servers die, hang and refuse: every call comes back, nothing is lost, nothing
//! is doubled.

use crate::archive_world::{Job, World, assert_whole, sink, write};
use files::sink::Layout;
use files::store::faulty::{Fault, Faulty};
use files::store::hdfs::Hdfs;
use files::store::memory::Memory;
use files::store::{Cause, Store, StoreError};
use operators_core::Error;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use testkit::Random;
use testkit::servers::{self, ALL, Harmed, harmed};

/// A cluster that only this test has, and that is well; all its servers run again when this is dropped.
struct Cluster {
    servers: Harmed,
    url: String,
}

const SERVERS: [&str; 4] = ["namenode", "datanode1", "datanode2", "datanode3"];

impl Cluster {
    fn take() -> Option<Self> {
        let servers = harmed();
        let url = servers.hdfs()?;
        let cluster = Self { servers, url };
        // The test before may have left a NameNode that still waits for its DataNodes.
        wait_until_well(&cluster.store("well"));
        Some(cluster)
    }

    /// A client of its own, for a directory that no other test has.
    fn store(&self, name: &str) -> Hdfs {
        store(&self.url, name)
    }

    fn control(&self, action: &str, servers: &[&str]) {
        servers.iter().for_each(|server| self.servers.control(action, server));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let well = std::panic::catch_unwind(AssertUnwindSafe(|| {
            self.control("resume", &SERVERS);
            self.control("start", &SERVERS);
        }));
        // A test that failed before says more.
        assert!(well.is_ok() || thread::panicking(), "the cluster does not get well");
    }
}

/// A client of its own, for a directory that no other test has.
fn store(url: &str, name: &str) -> Hdfs {
    Hdfs::new(&format!("{url}{}", path(name))).unwrap()
}

fn path(name: &str) -> String {
    format!("/faults-{}/{name}", std::process::id())
}

/// Bytes that do not repeat.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

/// Waits until files can be written: a NameNode that was started waits for its DataNodes.
fn wait_until_well(store: &Hdfs) {
    // A create that had no answer may have been done: each try has a name of its own.
    static TRIES: AtomicU32 = AtomicU32::new(0);
    for _ in 0..200 {
        let name = format!("well/{}", TRIES.fetch_add(1, Ordering::SeqCst));
        // What is empty needs no DataNode.
        let finished = store.create(&name).map(|mut file| match file.write_all(b"well") {
            Ok(()) => file.finish(),
            Err(error) => {
                Err(StoreError { action: "write", path: name.clone(), cause: Cause::Unavailable(error.to_string()) })
            }
        });
        match finished.flatten() {
            Ok(()) => return,
            Err(StoreError { cause: Cause::Unavailable(_) | Cause::Unknown(_), .. }) => {
                thread::sleep(Duration::from_millis(500));
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the cluster does not get well");
}

/// Lives until all is archived; every life ends because a server was not there, and for no other reason.
fn survive(store: &Hdfs, world: World) -> usize {
    for life in 1..200 {
        match world.live(&world.sink(store), &format!("life-{life}")) {
            Ok(_) => return life,
            Err(Error::Unavailable { .. }) => thread::sleep(Duration::from_millis(500)),
            Err(error) => panic!("life {life}: {error}"),
        }
    }
    panic!("it never got through");
}

/// Trap 68: the client closes a file whose blocks were lost as if all were well. DataNodes are killed before the first
/// byte, within a block, and between two blocks; what is finished is whole.
#[test]
fn datanodes_die_under_a_writer() {
    let Some(cluster) = Cluster::take() else { return };
    let content = bytes(140 << 20);
    let (mut whole, mut failed) = (0, 0);
    // A block has 128 MiB. In a cluster of three the next block is given to the dead as well.
    for (dead, at, length) in [(1, 0, 20), (1, 9, 40), (2, 9, 40), (3, 9, 40), (1, 135, 140), (3, 135, 140)] {
        let (at, content) = (at << 20, &content[..length << 20]);
        let store = cluster.store(&format!("die-{dead}-{at}"));
        let mut file = store.create("file").unwrap();
        let mut writing = || {
            file.write_all(&content[..at])?;
            cluster.control("kill", &SERVERS[1..=dead]);
            content[at..].chunks(1 << 20).try_for_each(|chunk| file.write_all(chunk))
        };
        let finished = match writing() {
            Ok(()) => file.finish().map_err(|e| e.cause),
            Err(error) => {
                assert!(file.finish().is_err(), "{dead} at {at}: finished over lost bytes");
                Err(Cause::from(error))
            }
        };
        cluster.control("start", &SERVERS[1..=dead]);
        println!("{dead} DataNodes dead after {} MiB: {finished:?}", at >> 20);
        match finished {
            Ok(()) => {
                let read = store.open("file").unwrap().read_at(0, content.len()).unwrap();
                assert!(read == *content, "{dead} at {at}: finished and not whole");
                whole += 1;
            }
            Err(Cause::Unavailable(_)) => failed += 1,
            Err(cause) => panic!("{dead} at {at}: {cause}"),
        }
    }
    println!("{whole} files whole, {failed} given up");
    assert!(whole > 0 && failed > 0, "both ends must be reached");
}

/// Trap 71: a DataNode that just died fails every new file until the NameNode notices. Each life takes new names, and
/// one gets through.
#[test]
fn a_dead_datanode_is_waited_out() {
    let Some(cluster) = Cluster::take() else { return };
    let store = cluster.store("dead");
    let job = Job { partitions: 4, positions: 24, step: 3 };
    cluster.control("kill", &SERVERS[1..3]);
    let lives = survive(&store, job.laid_out(Layout::Batches));
    println!("{lives} lives while two of three DataNodes were dead");
    cluster.control("start", &SERVERS[1..3]);
    assert_whole(&store, job, "written while DataNodes were dead");
}

/// Trap 69: the NameNode is killed while names are moved. What the call says is what happened.
#[test]
fn the_namenode_dies_under_renames() {
    let Some(cluster) = Cluster::take() else { return };
    let store = cluster.store("renames");
    let (mut renames, mut unanswered, mut done, mut chance) = (0, 0, 0, Random(7));
    for round in 0..4 {
        wait_until_well(&store);
        let wait = Duration::from_millis(200 + chance.below(500));
        // A mover whose calls were all answered would go on for ever.
        let back = AtomicBool::new(false);
        let ends: Vec<_> = thread::scope(|scope| {
            let mover = |n: u32| {
                let (store, back) = (&store, &back);
                scope.spawn(move || {
                    let name = |at: u64| format!("{round}/{n}/{at}");
                    write(store, &format!("{}/rows", name(0)), b"");
                    let mut at = 0;
                    loop {
                        match store.rename(&name(at), &name(at + 1)) {
                            Ok(()) if !back.load(Ordering::SeqCst) => at += 1,
                            end => return (at, end, name(at), name(at + 1)),
                        }
                    }
                })
            };
            let movers: Vec<_> = (0..12).map(mover).collect();
            thread::sleep(wait);
            cluster.control("kill", &["namenode"]);
            cluster.control("start", &["namenode"]);
            back.store(true, Ordering::SeqCst);
            movers.into_iter().map(|mover| mover.join().unwrap()).collect()
        });
        let there = |path: &str| match store.list(path) {
            Ok(_) => true,
            Err(StoreError { cause: Cause::NotFound, .. }) => false,
            Err(error) => panic!("{error}"),
        };
        for (moved, end, from, to) in ends {
            let applied = there(&to);
            assert_ne!(applied, there(&from), "{from} is in one place, and not further back than it was said to be");
            match end.map_err(|error| error.cause) {
                Ok(()) => assert!(applied, "{to} was said to be there"),
                Err(Cause::Unknown(_)) => (unanswered, done) = (unanswered + 1, done + u32::from(applied)),
                Err(Cause::Unavailable(reason)) => assert!(!applied, "{reason}, and it was done"),
                Err(cause) => panic!("{cause}"),
            }
            renames += moved;
        }
    }
    println!("{renames} renames, of {unanswered} without an answer {done} were done");
    assert!(unanswered > 0, "the NameNode must die within a rename");
}

/// The NameNode dies again and again under the whole commit: nothing is lost or doubled, and no life takes itself for
/// another copy.
#[test]
fn the_namenode_dies_under_commits() {
    let Some(cluster) = Cluster::take() else { return };
    let job = Job { partitions: 4, positions: 36, step: 3 };
    let (done, mut chance) = (AtomicBool::new(false), Random(11));
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            for _ in 0..4 {
                thread::sleep(Duration::from_millis(500 + chance.below(4_000)));
                cluster.control("kill", &["namenode"]);
                thread::sleep(Duration::from_millis(chance.below(3_000)));
                cluster.control("start", &["namenode"]);
            }
            done.store(true, Ordering::Relaxed);
        });
        let archives = |n: usize| {
            let layout = [Layout::Batches, Layout::Flat][n % 2];
            (cluster.store(&format!("commits-{n}")), job.laid_out(layout))
        };
        let mut made = 0;
        while !done.load(Ordering::Relaxed) {
            let (store, world) = archives(made);
            println!("archive {made}, {:?}: {} lives", world.layout, survive(&store, world));
            made += 1;
        }
        killer.join().unwrap();
        for (store, world) in (0..made).map(archives) {
            world.assert_whole(&store, "after kills");
        }
    });
}

/// Trap 70: a stopped NameNode never answers. Every call comes back all the same, and what it did late is no harm.
#[test]
fn the_namenode_hangs() {
    let Some(cluster) = Cluster::take() else { return };
    let store = cluster.store("hangs");
    for name in ["read", "open", "from/a", "deleted", "renamed/a"] {
        write(&store, name, b"content");
    }
    let (writing, finishing) = (store.create("writing").unwrap(), store.create("finishing").unwrap());
    cluster.control("pause", &["namenode"]);
    let harmless: Vec<Box<dyn FnOnce() -> Option<Cause> + Send>> = vec![
        Box::new(|| store.read("read").err().map(|e| e.cause)),
        Box::new(|| store.open("open").err().map(|e| e.cause)),
        Box::new(|| store.list("").err().map(|e| e.cause)),
        Box::new(move || finishing.finish().err().map(|e| e.cause)),
        Box::new(move || {
            let mut writing = writing;
            let written = writing.write_all(&bytes(2 << 20)).err().map(Cause::from);
            assert!(writing.finish().is_err(), "finished after an error");
            written
        }),
    ];
    let changes: Vec<Box<dyn FnOnce() -> Option<Cause> + Send>> = vec![
        Box::new(|| store.create("created").err().map(|e| e.cause)),
        Box::new(|| store.rename("from", "to").err().map(|e| e.cause)),
        Box::new(|| store.delete("deleted").err().map(|e| e.cause)),
    ];
    thread::scope(|scope| {
        let harmless: Vec<_> = harmless.into_iter().map(|call| scope.spawn(call)).collect();
        let changes: Vec<_> = changes.into_iter().map(|call| scope.spawn(call)).collect();
        for call in harmless {
            let cause = call.join().unwrap();
            assert!(matches!(cause, Some(Cause::Unavailable(_))), "{cause:?}");
        }
        for call in changes {
            let cause = call.join().unwrap();
            // A rename makes a directory first, and that can be tried again.
            assert!(matches!(cause, Some(Cause::Unknown(_) | Cause::Unavailable(_))), "{cause:?}");
        }
    });
    cluster.control("resume", &["namenode"]);
    assert_eq!(store.read("read").unwrap(), b"content", "a new session answers");
    let job = Job { partitions: 4, positions: 12, step: 3 };
    survive(&cluster.store("after"), job.laid_out(Layout::Batches));
    assert_whole(&cluster.store("after"), job, "after a hang");
}

/// A stopped DataNode: the writer goes on without it or gives up, and what is finished is whole.
#[test]
fn a_datanode_hangs() {
    let Some(cluster) = Cluster::take() else { return };
    let store = cluster.store("paused");
    let content = bytes(8 << 20);
    let mut file = store.create("file").unwrap();
    file.write_all(&content[..4 << 20]).unwrap();
    cluster.control("pause", &["datanode1"]);
    let written = file.write_all(&content[4 << 20..]);
    let finished = written.map_err(Cause::from).and_then(|()| file.finish().map_err(|e| e.cause));
    println!("one of three DataNodes hung: {finished:?}");
    match finished {
        Ok(()) => assert!(store.read("file").unwrap() == content),
        Err(cause) => assert!(matches!(cause, Cause::Unavailable(_)), "{cause}"),
    }
    let job = Job { partitions: 4, positions: 12, step: 3 };
    let lives = survive(&store, job.laid_out(Layout::Batches));
    println!("{lives} lives while a DataNode hung");
    cluster.control("resume", &["datanode1"]);
}

/// Trap 48: in safe mode everything can be read and nothing changed, for now.
#[test]
fn safe_mode_is_waited_out() {
    let Some(cluster) = Cluster::take() else { return };
    let store = cluster.store("safe");
    for name in ["kept", "from/a"] {
        write(&store, name, b"content");
    }
    let open = store.create("open").unwrap();
    cluster.servers.command(&["hdfs", "dfsadmin", "-safemode", "enter"]);
    for refused in
        [store.create("new").map(drop), store.rename("from", "to"), store.delete("kept").map(drop), open.finish()]
    {
        let error = refused.unwrap_err();
        let Cause::Unavailable(reason) = &error.cause else { panic!("{error:?}") };
        assert!(reason.contains("safe mode") && !reason.contains('\n'), "{reason}");
    }
    assert_eq!(store.read("kept").unwrap(), b"content");
    let job = Job { partitions: 2, positions: 6, step: 3 };
    let refused = job.live(&sink(&store), "one").unwrap_err();
    assert!(matches!(&refused, Error::Unavailable { .. }), "{refused}");
    println!("{refused}");
    cluster.servers.command(&["hdfs", "dfsadmin", "-safemode", "leave"]);
    store.rename("from", "to").unwrap();
}

/// Trap 48: a full quota, of names or of bytes, is waited out and leaves nothing half written that counts.
#[test]
fn a_full_quota_is_waited_out() {
    let Some(url) = servers::hdfs() else { return };
    let job = Job { partitions: 4, positions: 6, step: 3 };
    for (kind, set, clear) in
        [("names", ["-setQuota", "9"], "-clrQuota"), ("space", ["-setSpaceQuota", "1m"], "-clrSpaceQuota")]
    {
        // The quota is that of a directory above the archive and what is staged for it.
        let store = store(&url, &format!("{kind}/data"));
        write(&store, "gone", b"");
        store.delete("gone").unwrap();
        ALL.command(&["hdfs", "dfsadmin", set[0], set[1], &path(kind)]);
        let refused = job.live(&sink(&store), "one").unwrap_err();
        assert!(matches!(&refused, Error::Unavailable { reason, .. } if reason.contains("quota")), "{refused}");
        println!("{refused}");
        ALL.command(&["hdfs", "dfsadmin", clear, &path(kind)]);
        assert_eq!(survive(&store, job.laid_out(Layout::Batches)), 1);
        assert_whole(&store, job, kind);
    }
}

/// A run that died as it was to publish has left files that fill a quota: the next frees them before it makes any.
#[test]
fn leftovers_that_fill_a_quota_are_freed() {
    let Some(url) = servers::hdfs() else { return };
    let job = Job { partitions: 4, positions: 6, step: 3 };
    // After the first rename of the last commit come those of the other partitions, their hints and a deletion.
    for (layout, after) in [(Layout::Batches, 1), (Layout::Flat, 9)] {
        let (world, name) = (job.laid_out(layout), format!("leftovers-{layout:?}"));
        let counted = Faulty::new(Arc::new(Memory::default()), []);
        world.live(&world.sink(&counted), "one").unwrap();
        let store = store(&url, &format!("{name}/data"));
        let stopped = Faulty::new(Arc::new(store.clone()), [(counted.made() - after, Fault::StopBefore)]);
        world.live(&world.sink(&stopped), "one").unwrap_err();
        let told = ALL.command(&["hdfs", "dfs", "-count", &path(&name)]);
        let names: u64 = told.split_whitespace().take(2).map(|count| count.parse::<u64>().unwrap()).sum();
        ALL.command(&["hdfs", "dfsadmin", "-setQuota", &names.to_string(), &path(&name)]);
        assert_eq!(world.live(&world.sink(&store), "two").unwrap(), 1, "{layout:?}");
        world.assert_whole(&store, &name);
        println!("{layout:?}: {names} names were taken and no more allowed");
    }
}
