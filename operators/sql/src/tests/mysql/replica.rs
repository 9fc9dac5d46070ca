//! Servers that apply the changes of others, and engines that are not InnoDB: their own transactions do not tell.

use super::super::{ALL, at, refusal};
use super::{ids, nothing_comes, own, own_on};
use std::time::{Duration, Instant};
use testkit::servers::ALONE;

const CREATE: &str = "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)";
const COLUMNS: &str = r#"{"a": "int32"}"#;
/// Of a primary that nobody ever reaches.
const FOLLOW: &str = "/*M! CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1, MASTER_USER = 'x' */\
     /*!80023 CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x' */";

/// Whether a replica may be written to says nothing: by default it may. It becomes one while it is read.
#[test]
fn a_replica_is_known_whatever_it_allows_and_whenever_it_becomes_one() {
    let Some(world) = own_on(&ALONE) else { return };
    let mut root = world.root();
    world.run(CREATE);
    let wait = Duration::from_secs(20);
    let bound = format!(r#", "late_commits": {{"wait": "{}s", "then": "fail"}}"#, wait.as_secs());
    let (mut reader, mut next) = (world.source(COLUMNS, &bound).source.open(ALL, &at(0)).unwrap(), 0);
    // Alone, the server tells of a gap that no transaction is left for.
    let began = Instant::now();
    world.run("INSERT INTO t VALUES (2, 1)");
    assert_eq!(ids(&mut *reader, &mut next, 1), [2]);
    assert!(began.elapsed() < wait, "by a look at transactions");

    root.run(FOLLOW);
    root.run("START REPLICA");
    let error = refusal(world.source(COLUMNS, "").source.open(ALL, &at(0)));
    assert!(error.contains("the server is a replica") && error.contains("late_commits"), "{error}");
    // The same gap may be filled by a transaction of the primary, which nobody sees here.
    world.run("INSERT INTO t VALUES (4, 1)");
    nothing_comes(&mut *reader);
    world.run("INSERT INTO t VALUES (3, 1)");
    assert_eq!(ids(&mut *reader, &mut next, 2), [3, 4]);

    root.run("STOP REPLICA");
    let error = refusal(world.source(COLUMNS, "").source.open(ALL, &at(0)));
    assert!(error.contains("stopped replica") && error.contains("RESET REPLICA ALL"), "{error}");
    root.run("RESET REPLICA ALL");
    let began = Instant::now();
    world.run("INSERT INTO t VALUES (6, 1)");
    assert_eq!(ids(&mut *reader, &mut next, 1), [6]);
    assert!(began.elapsed() < wait, "by a look at transactions again");
}

#[test]
fn rows_of_other_engines_are_waited_for_by_the_clock() {
    let Some(world) = own() else { return };
    world.run(&format!("{CREATE} ENGINE = MyISAM; INSERT INTO t VALUES (1, 1), (3, 1)"));
    let error = refusal(world.source(COLUMNS, "").source.open(ALL, &at(0)));
    assert!(error.contains("the engine MyISAM") && error.contains("late_commits"), "{error}");
    let bound = r#", "late_commits": {"wait": "2s", "then": "skip"}"#;
    let (mut reader, mut next) = (world.source(COLUMNS, bound).source.open(ALL, &at(0)).unwrap(), 0);
    let began = Instant::now();
    assert_eq!(ids(&mut *reader, &mut next, 1), [1]);
    assert_eq!(ids(&mut *reader, &mut next, 1), [3]);
    assert!(began.elapsed() >= Duration::from_secs(2), "it waits as long as the file says");
}
