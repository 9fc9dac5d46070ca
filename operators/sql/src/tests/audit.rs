//! The audit of SQL sinks sees every kind of damage.

use super::{Target, drive, execute, folder, run};
use crate::database::failpoint::Failpoints;
use operators_core::stage::{Account, Finding, Sink};

const FLOW: &str = "weather/test";

fn audit(sink: &dyn Sink) -> (Account, Vec<String>) {
    let mut found = Vec::new();
    let account = sink.audit(FLOW, &mut |Finding { problem, .. }| found.push(problem)).unwrap();
    (account, found)
}

/// Partition, end and rows of what was read.
fn spans(account: &Account) -> Vec<(u32, u64, u64)> {
    account.spans.iter().map(|span| (span.partition, span.to.0, span.rows)).collect()
}

#[test]
fn finds_nothing_wrong_where_nothing_is() {
    let mysql = testkit::servers::mysql().map(|_| Target::MySql);
    for target in [Target::Table, Target::Topic].into_iter().chain(mysql) {
        let dir = folder();
        let sink = target.sink(dir.path(), Failpoints::default());
        assert_eq!(audit(&*sink), (Account::default(), vec![]), "before the first start");
        let last = drive(&*sink, &run("one"), 3).unwrap().unwrap();
        let (account, found) = audit(&*sink);
        assert_eq!(found, [""; 0], "{target:?}");
        assert_eq!((account.batches, account.rows, account.totals), (3, 54, last.totals));
        assert_eq!(spans(&account), [(0, 30, 30), (1, 30, 30)]);
        // Another flow that never ran has committed nothing of what is there.
        let mut others = Vec::new();
        sink.audit("weather/other", &mut |finding| others.push(finding)).unwrap();
        assert!(others.len() == 1 && others[0].problem.contains("54 more"), "{others:?}");
    }
}

/// Each commit records all that was read; where the first ones recorded nothing, no later one makes it up.
#[test]
fn what_an_earlier_version_has_committed_is_still_verified() {
    for target in [Target::Table, Target::Topic] {
        let dir = folder();
        let sink = target.sink(dir.path(), Failpoints::default());
        drive(&*sink, &run("one"), 2).unwrap();
        execute(dir.path(), "UPDATE weatherflow_progress SET progress = json_remove(progress, '$.spans')");
        for batches in [2, 4] {
            drive(&*sink, &run("two"), batches).unwrap();
            let (account, found) = audit(&*sink);
            assert_eq!((found.len(), account.totals.read), (0, 20 * batches), "{target:?}: {found:?}");
            assert_eq!(spans(&account), [(0, 10 * batches, 10 * batches), (1, 10 * batches, 10 * batches)]);
        }
    }
}

#[test]
fn each_kind_of_damage_is_found() {
    let table = [
        ("DELETE FROM \"temper\"\"atures\" WHERE id = 7", "1 fewer"),
        ("INSERT INTO \"temper\"\"atures\" (station) VALUES ('x')", "1 more"),
        ("DROP TABLE \"temper\"\"atures\"", "is gone, and 54 rows"),
    ];
    let topic = [
        ("DELETE FROM messages WHERE partition = 1 AND \"offset\" = 4", "not [0, 17)"),
        ("DELETE FROM messages WHERE partition = 1 AND \"offset\" = 17", "1 fewer"),
        ("UPDATE messages SET partition = 9 WHERE partition = 2", "partition 9 of 3"),
        (
            "INSERT INTO messages SELECT topic, partition, 18, 0, key, value FROM messages WHERE partition = 0 AND \"offset\" = 0",
            "1 more",
        ),
        ("DELETE FROM topics", "is gone, and 54 rows"),
        ("UPDATE topics SET partitions = 4", "has 4 partitions"),
    ];
    let both = [
        ("DELETE FROM weatherflow_dead_letters WHERE rowid = 1", "5 dead letters"),
        ("DELETE FROM weatherflow_progress", "wrote 0"),
        ("UPDATE weatherflow_progress SET version = 7", "another version"),
        ("UPDATE weatherflow_progress SET progress = '{'", "holds no progress"),
        ("UPDATE weatherflow_progress SET progress = replace(progress, 'weather/test', 'x')", "another flow"),
        ("UPDATE weatherflow_progress SET progress = json_replace(progress, '$.totals.read', 61)", "do not add up"),
        ("UPDATE weatherflow_progress SET progress = NULL", "another version"),
        (
            "UPDATE weatherflow_progress SET progress = json_replace(progress, '$.spans[0].rows', 29)",
            "the spans of flow weather/test hold 59 rows",
        ),
        (
            "UPDATE weatherflow_progress SET progress = json_replace(progress, '$.spans[1].to', 31)",
            "not at [0: 30, 1: 30]",
        ),
    ];
    let of =
        |target, damages: &[(&'static str, &'static str)]| damages.iter().map(|&d| (target, d)).collect::<Vec<_>>();
    let all =
        [of(Target::Table, &table), of(Target::Topic, &topic), of(Target::Table, &both), of(Target::Topic, &both)];
    let all = all.concat();
    for (target, (damage, expected)) in &all {
        let dir = folder();
        let sink = target.sink(dir.path(), Failpoints::default());
        drive(&*sink, &run("one"), 3).unwrap();
        execute(dir.path(), damage);
        let (_, found) = audit(&*sink);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{damage}: {expected} in {found:#?}");
    }
    println!("{} kinds of damage found", all.len());
}
