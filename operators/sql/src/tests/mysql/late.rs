//! Rows that commit late: whatever transactions do, each committed row is read once, and in the order of the ids.

use super::super::{ALL, at};
use super::{Client, Stop, World, ids, nothing_comes, own};
use operators_core::stage::{Read, Reader};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::Random;

const CREATE: &str = "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)";
const COLUMNS: &str = r#"{"a": "int32"}"#;
/// Would lose rows at once if the server's transactions were not looked at.
const IMPATIENT: &str = r#", "late_commits": {"wait": "1ms", "then": "skip"}"#;

fn reader(world: &World) -> Box<dyn Reader> {
    world.source(COLUMNS, IMPATIENT).source.open(ALL, &at(0)).unwrap()
}

/// A session in a transaction that has inserted a row.
fn inserted(world: &World, begin: &str) -> Client {
    let mut client = world.client();
    client.run(begin);
    client.run("INSERT INTO t (a) VALUES (1)");
    client
}

#[test]
fn a_row_that_commits_after_later_ones_comes_first() {
    let Some(world) = own() else { return };
    world.run(CREATE);
    let (mut reader, mut next) = (reader(&world), 0);
    let mut late = inserted(&world, "BEGIN");
    world.run("INSERT INTO t (a) VALUES (2)");
    nothing_comes(&mut *reader);
    late.run("COMMIT");
    assert_eq!(ids(&mut *reader, &mut next, 2), [1, 2]);
    // The same behind rows that were read already, and with a second one that is later still.
    let mut late = inserted(&world, "BEGIN");
    let mut later = inserted(&world, "START TRANSACTION");
    world.run("INSERT INTO t (a) VALUES (2)");
    nothing_comes(&mut *reader);
    later.run("COMMIT");
    nothing_comes(&mut *reader);
    late.run("COMMIT");
    assert_eq!(ids(&mut *reader, &mut next, 3), [3, 4, 5]);
}

#[test]
fn what_lies_before_the_gap_is_read_at_once() {
    let Some(world) = own() else { return };
    world.run(&format!("{CREATE}; INSERT INTO t (a) VALUES (1), (2), (3)"));
    let late = inserted(&world, "BEGIN");
    world.run("INSERT INTO t (a) VALUES (5)");
    let (mut reader, mut next) = (reader(&world), 0);
    assert_eq!(ids(&mut *reader, &mut next, 3), [1, 2, 3]);
    nothing_comes(&mut *reader);
    assert_eq!(reader.lag().unwrap().total(), Some(2));
    // The connection is lost: what it inserted is rolled back.
    drop(late);
    assert_eq!(ids(&mut *reader, &mut next, 1), [5]);
    assert_eq!((next, reader.lag().unwrap().total()), (6, Some(0)));
}

#[test]
fn a_gap_that_was_rolled_back_is_passed() {
    let Some(world) = own() else { return };
    world.run(CREATE);
    let (mut reader, mut next) = (reader(&world), 0);
    let mut back = inserted(&world, "BEGIN");
    world.run("INSERT INTO t (a) VALUES (2)");
    nothing_comes(&mut *reader);
    back.run("ROLLBACK");
    assert_eq!(ids(&mut *reader, &mut next, 1), [2]);
    // Rolled back in part, in a transaction that goes on: the position waits for its end, and the rest is read.
    // What it locked until its end must not keep others from inserting.
    let begin =
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; INSERT INTO t (a) VALUES (3); SAVEPOINT s";
    let mut back = inserted(&world, begin);
    back.run("ROLLBACK TO s");
    world.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; INSERT INTO t (a) VALUES (5)");
    nothing_comes(&mut *reader);
    back.run("COMMIT");
    assert_eq!(ids(&mut *reader, &mut next, 2), [3, 5]);
}

#[test]
fn transactions_that_only_read_hold_nothing_back() {
    let Some(world) = own() else { return };
    world.run(CREATE);
    let mut idle = world.client();
    idle.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT");
    idle.texts("SELECT CAST(count(*) AS CHAR) FROM t");
    let mut only = world.client();
    only.run("START TRANSACTION READ ONLY");
    only.texts("SELECT CAST(count(*) AS CHAR) FROM t");
    let (mut reader, mut next) = (reader(&world), 0);
    inserted(&world, "BEGIN").run("ROLLBACK");
    world.run("INSERT INTO t (a) VALUES (2)");
    assert_eq!(ids(&mut *reader, &mut next, 1), [2]);
    // The one that was idle when the gap was seen inserts later: its id is a later one.
    idle.run("INSERT INTO t (a) VALUES (3)");
    inserted(&world, "BEGIN").run("COMMIT");
    nothing_comes(&mut *reader);
    idle.run("COMMIT");
    assert_eq!(ids(&mut *reader, &mut next, 2), [3, 4]);
}

#[test]
fn prepared_transactions_are_waited_for_without_their_connection() {
    let Some(world) = own() else { return };
    world.run(CREATE);
    let (mut reader, mut next) = (reader(&world), 0);
    for (end, row) in [("XA COMMIT", Some(1)), ("XA ROLLBACK", None)] {
        let xid = format!("'{} {end}'", world.name);
        let mut late = inserted(&world, &format!("XA START {xid}"));
        late.run(&format!("XA END {xid}; XA PREPARE {xid}"));
        let gone = late.id();
        drop(late);
        world.run("INSERT INTO t (a) VALUES (2)");
        nothing_comes(&mut *reader);
        let mut other = world.client();
        // Only when the server has noticed that the connection is gone does it hand the transaction over.
        while !other.texts(&format!("SELECT 'x' FROM information_schema.processlist WHERE id = {gone}")).is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        other.run(&format!("{end} {xid}"));
        let before = next;
        let came = ids(&mut *reader, &mut next, row.map_or(1, |_| 2));
        assert_eq!(came.len(), row.map_or(1, |_| 2), "{end}: {came:?} from {before}");
        assert!(came.is_sorted());
    }
    assert_eq!(next, 5);
}

#[test]
fn old_gaps_cost_nothing() {
    let Some(world) = own() else { return };
    let rows =
        "INSERT INTO t (a) SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n FROM n AS a, n AS b, n AS c, n AS d, n AS e";
    world.run(&format!(
        "{CREATE}; CREATE TABLE n (n INT); INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
         SET auto_increment_increment = 3; SET auto_increment_offset = 2; {rows};
         DELETE FROM t WHERE id BETWEEN 90000 AND 120000 OR id % 5 = 0"
    ));
    let expected: Vec<u64> =
        world.texts("SELECT CAST(id AS CHAR) FROM t ORDER BY id").iter().map(|id| id.parse().unwrap()).collect();
    let (mut reader, mut all, mut pages, mut pauses) = (reader(&world), Vec::new(), 0, 0);
    while all.len() < expected.len() {
        match reader.read().unwrap() {
            Read::Rows(chunk, _) => {
                all.extend_from_slice(chunk.positions.values());
                pages += 1;
            }
            Read::Pause(time) | Read::CaughtUp(time) => {
                std::thread::sleep(time);
                pauses += 1;
            }
            Read::End => unreachable!("a table has no end"),
        }
    }
    assert_eq!(all, expected);
    println!("{} rows with a gap before each: {pages} pages, {pauses} pauses", all.len());
    assert!(pages <= expected.len() / 8192 + 3, "{pages} pages");
    // Other tests have transactions open for a moment, but no gap of these needs a proof of its own.
    assert!(pauses < 1000, "{pauses} pauses");
}

/// The server shows an old copy of its transactions for as long as somebody looks at it often.
#[test]
fn an_old_copy_of_the_transactions_proves_nothing() {
    let Some(world) = own() else { return };
    world.run(CREATE);
    let (mut reader, mut next) = (reader(&world), 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| {
            let mut monitor = world.client();
            while !stop.load(Ordering::Relaxed) {
                monitor.texts("SELECT CAST(trx_id AS CHAR) FROM information_schema.innodb_trx");
            }
        });
        let mut late = inserted(&world, "BEGIN");
        world.run("INSERT INTO t (a) VALUES (2)");
        nothing_comes(&mut *reader);
        late.run("COMMIT");
    });
    assert_eq!(ids(&mut *reader, &mut next, 2), [1, 2]);
}

/// Many writers do all there is to do at random, while the table is read.
#[test]
fn whatever_writers_do_every_committed_row_is_read_once_and_in_order() {
    let Some(world) = own() else { return };
    world.run(&format!("{CREATE}; CREATE TABLE n (n INT); INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6)"));
    let seed = std::env::var("WEATHERFLOW_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let written = AtomicBool::new(false);
    let mut read = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                scope.spawn({
                    let world = &world;
                    move || write(world, Random(seed * 100 + writer), 60)
                })
            })
            .collect();
        let reading = scope.spawn(|| {
            let (mut reader, mut read) = (reader(&world), Vec::new());
            // Once more through all after the last commit.
            let mut rest = 5;
            while rest > 0 {
                let over = written.load(Ordering::Relaxed);
                match reader.read().unwrap() {
                    Read::Rows(chunk, _) => read.extend_from_slice(chunk.positions.values()),
                    Read::CaughtUp(_) if over => rest -= 1,
                    Read::Pause(time) | Read::CaughtUp(time) => std::thread::sleep(time / 10),
                    Read::End => unreachable!("a table has no end"),
                }
            }
            read
        });
        let stop = Stop(&written);
        for writer in writers {
            writer.join().unwrap();
        }
        drop(stop);
        reading.join().unwrap()
    });
    let there: Vec<u64> =
        world.texts("SELECT CAST(id AS CHAR) FROM t ORDER BY id").iter().map(|id| id.parse().unwrap()).collect();
    let lost: BTreeSet<_> = there.iter().filter(|id| !read.contains(id)).collect();
    assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
    assert!(read.is_sorted(), "seed {seed}: not in order");
    let count = read.len();
    read.dedup();
    assert_eq!((read.len(), count), (there.len(), there.len()), "seed {seed}: rows came twice");
    let gaps = there.last().copied().unwrap_or(0) - there.len() as u64;
    println!("seed {seed}: {count} rows of 6 writers, {gaps} ids that never came");
}

fn write(world: &World, mut random: Random, transactions: u64) {
    let mut client = world.client();
    for _ in 0..transactions {
        if random.below(8) == 0 {
            client.run(&format!("SET auto_increment_increment = {}", random.below(3) + 1));
        }
        let alone = random.below(4) == 0;
        if !alone {
            client.run("BEGIN");
        }
        for _ in 0..=random.below(3) {
            match random.below(4) {
                0 => client.run("INSERT INTO t (a) SELECT n.n FROM n"),
                1 => client.run("INSERT INTO t (a) SELECT n.n + SLEEP(0.003) FROM n"),
                2 => client.run("INSERT INTO t (a) VALUES (1), (SLEEP(0.005)), (3)"),
                _ => client.run("INSERT INTO t (a) VALUES (1)"),
            }
            std::thread::sleep(Duration::from_millis(random.below(20)));
        }
        if !alone {
            client.run(if random.below(4) == 0 { "ROLLBACK" } else { "COMMIT" });
        }
    }
}
