//! The flat layout on a real HDFS: written and proven, stopped at its calls, found again beside many files.

use crate::archive_world::{Job, World, audit, files, run};
use files::sink::Layout;
use files::store::STAGING;
use files::store::faulty::{Fault, Faulty};
use files::store::hdfs::Hdfs;
use operators_core::Error;
use operators_core::progress::Version;
use operators_core::stage::Sink;
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use testkit::servers;

/// A directory that no other test has.
fn store(name: &str) -> Option<Hdfs> {
    let url = servers::hdfs()?;
    Some(Hdfs::new(&format!("{url}/tests-{}/flat-{name}", std::process::id())).unwrap())
}

#[test]
fn an_archive_is_written_and_proven() {
    let Some(store) = store("whole") else { return };
    let world = Job { partitions: 4, positions: 60, step: 3 }.laid_out(Layout::Flat);
    let began = Instant::now();
    world.live(&world.sink(&store), "one").unwrap();
    let written = began.elapsed();
    world.assert_whole(&store, "on HDFS");
    let began = Instant::now();
    let (_, account) = audit(&world.sink(&store));
    println!("20 commits, {} files: {written:?}, audit {:?}", account.files, began.elapsed());
    let counted = Faulty::new(Arc::new(store), []);
    let began = Instant::now();
    let opened = world.sink(&counted).open(&run("two")).unwrap();
    println!("restart: {} calls, {:?}", counted.made(), began.elapsed());
    assert_eq!(opened.progress.unwrap().version, Version(19));
}

/// Each call with each of the faults.
#[test]
fn every_crash_point() {
    let world = Job { partitions: 2, positions: 6, step: 3 }.laid_out(Layout::Flat);
    let Some(store) = store("counted") else { return };
    let counted = Faulty::new(Arc::new(store), []);
    world.live(&world.sink(&counted), "one").unwrap();
    let faults = [Fault::StopAfter, Fault::Unanswered, Fault::StopBefore, Fault::Late(3), Fault::Refused];
    let calls = counted.made();
    for call in 0..calls {
        // Side by side, as most of the time is spent waiting for servers.
        thread::scope(|scope| faults.iter().for_each(|&fault| drop(scope.spawn(move || survive(world, call, fault)))));
    }
    println!("{calls} calls, each with {} faults, on HDFS", faults.len());
}

fn survive(world: World, call: u64, fault: Fault) {
    let context = format!("{fault:?} at {call}");
    let Some(store) = store(&format!("crash-{call}-{fault:?}")) else { return };
    let faulty = Faulty::new(Arc::new(store.clone()), [(call, fault)]);
    for life in 0.. {
        match world.live(&world.sink(&faulty), &format!("life-{life}")) {
            Ok(_) => break,
            Err(Error::Fenced { .. }) => panic!("{context}: fenced by an earlier life of its own"),
            Err(error) => assert!(life < 1, "{context}: {error}"),
        }
        faulty.restart();
    }
    faulty.settle();
    world.assert_whole(&store, &context);
    world.sink(&store).open(&run("the last")).unwrap();
    assert_eq!(files(&store, STAGING), [""; 0], "{context}");
}
