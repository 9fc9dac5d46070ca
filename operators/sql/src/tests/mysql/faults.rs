//! Faults between a sink and its server: exactly once, whatever becomes of a COMMIT.

use super::super::SinkConfig;
use super::super::SourceConfig;
use super::super::{batch, drive, run};
use super::own;
use super::proxy::{Harm, Proxy};
use crate::database::failpoint::Failpoints;
use operators_core::Error;
use operators_core::config::Context;
use operators_core::progress::Progress;
use operators_core::stage::{Committer, Share, Sink};

/// Lives of the sink until three batches are there, begun again as the engine does.
fn live(harm: Harm) -> Option<(u32, Vec<String>)> {
    let world = own()?;
    let proxy = Proxy::new(world.address(), harm);
    let url = world.url().replace(&world.address(), &proxy.address);
    let mut lives = 0;
    // The take-over ends with a commit of its own; the harm comes to the second batch.
    proxy.harm(2);
    loop {
        lives += 1;
        match drive(&*world.sink_at(&url, Failpoints::default()), &run(&format!("life {lives}")), 3) {
            Ok(_) => break,
            Err(Error::Unavailable { .. }) => assert!(lives < 5),
            Err(error) => panic!("{harm:?}: {error}"),
        }
    }
    assert!(proxy.done(), "no harm was done");
    Some((lives, world.dump()))
}

#[test]
fn a_commit_whose_answer_is_lost_counts_once() {
    let Some(calm) = own() else { return };
    drive(&*calm.sink(Failpoints::default()), &run("calm"), 3).unwrap();
    let expected = calm.dump();
    assert_eq!(expected.len(), 3 * 20 + 1);
    // One that is known to be applied needs no new life; one that is not there is done again in the next.
    for (harm, lives) in [(Harm::Lost, 2), (Harm::Unanswered, 1), (Harm::Silent, 1)] {
        let (lived, dump) = live(harm).unwrap();
        assert_eq!((lived, &dump), (lives, &expected), "{harm:?}");
    }
}

/// A connection at rest that the server has ended is no reason to begin the flow again.
#[test]
fn a_connection_ended_between_commits_is_opened_again() {
    let Some(world) = own() else { return };
    let sink = world.sink(Failpoints::default());
    let (mut committer, last) = begun(&*sink);
    kill_others(&world);
    committer.commit(batch(&*sink, &run("one"), Some(&last), 1)).unwrap();
    assert_eq!(sink.progress("weather/test").unwrap().unwrap().version.0, 1);
}

fn kill_others(world: &super::World) {
    let mut root = world.client();
    let own = root.id();
    let others = "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE id <> ";
    for id in root.texts(&format!("{others}{own} AND db = '{}'", world.name)) {
        let _ = root.try_run(&format!("KILL {id}"));
    }
}

/// A sink with one commit.
fn begun(sink: &dyn Sink) -> (Box<dyn Committer>, Progress) {
    let mut committer = sink.open(&run("one")).unwrap().committer;
    let first = batch(sink, &run("one"), None, 0);
    let last = first.progress.clone();
    committer.commit(first).unwrap();
    (committer, last)
}

/// The server ends one transaction of a deadlock, the one with fewer changes, and the batch is done again.
#[test]
fn a_deadlock_costs_the_sink_one_more_try() {
    let Some(world) = own() else { return };
    let sink = world.sink(Failpoints::default());
    let (mut committer, last) = begun(&*sink);
    world.run("CREATE TABLE many (n INT); INSERT INTO many SELECT 1 FROM information_schema.collations");
    let mut other = world.client();
    // The sink advances its progress first and adds rows then; this one goes the other way.
    other.run(
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; BEGIN; UPDATE many SET n = 2;
         SELECT id FROM `temper``\"atures` FOR UPDATE",
    );
    std::thread::scope(|scope| {
        let second = batch(&*sink, &run("one"), Some(&last), 1);
        let waiting = scope.spawn(|| committer.commit(second));
        let own = other.id();
        let waits = format!(
            "SELECT 'x' FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p \
             ON p.id = t.trx_mysql_thread_id \
             WHERE t.trx_state = 'LOCK WAIT' AND p.db = '{}' AND p.id <> {own}",
            world.name
        );
        while world.texts(&waits).is_empty() {
            // Asked more often, the server would show an old copy.
            std::thread::sleep(std::time::Duration::from_millis(150));
        }
        // It would wait in vain, were the sink not the one to give way.
        other.run("SELECT * FROM weatherflow_progress FOR UPDATE; ROLLBACK");
        waiting.join().unwrap()
    })
    .unwrap();
    assert_eq!(sink.progress("weather/test").unwrap().unwrap().version.0, 1);
    assert_eq!(world.dump().len(), 2 * 20 + 1);
}

/// Locks held too long by others: the batch is done again, or the flow begins again; never in part.
#[test]
fn a_row_locked_by_others_makes_the_sink_wait() {
    let Some(world) = own() else { return };
    let sink = world.sink(Failpoints::default());
    let (mut committer, last) = begun(&*sink);
    let mut other = world.client();
    other.run("BEGIN; SELECT * FROM weatherflow_progress FOR UPDATE");
    let waiting = std::thread::scope(|scope| {
        let second = batch(&*sink, &run("one"), Some(&last), 1);
        let waiting = scope.spawn(|| committer.commit(second));
        let locked = "SELECT 'x' FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'";
        while other.texts(locked).is_empty() {
            // Asked more often, the server would show an old copy.
            std::thread::sleep(std::time::Duration::from_millis(150));
        }
        other.run("ROLLBACK");
        waiting.join().unwrap()
    });
    waiting.unwrap();
    assert_eq!(sink.progress("weather/test").unwrap().unwrap().version.0, 1);
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let sink: SinkConfig =
        serde_json::from_str(r#"{"table": {"url": "mysql://root:hunter2@127.0.0.1:1/x", "table": "t"}}"#).unwrap();
    let context = Context { dir: "/".into() };
    let built = sink.build(&super::super::schema(), operators_core::stage::Inflow::default(), &context).unwrap();
    let errors = [built.sink.open(&run("x")).err().unwrap(), built.sink.progress("f").unwrap_err()];
    let source: SourceConfig = serde_json::from_str(
        r#"{"table": {"url": "mysql://root@127.0.0.1:1/x", "password": "hunter2", "table": "t", "columns": {"a": "int64"}}}"#,
    )
    .unwrap();
    let built = source.build(&context).unwrap();
    let error = built.source.open(Share { index: 0, of: 1 }, &super::super::at(0)).err().unwrap();
    for error in errors.into_iter().chain([error]) {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        let shown = format!("{error} {error:?} {:?}", built.about);
        assert!(shown.contains("mysql://127.0.0.1:1/x") && !shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn wrong_passwords_and_databases_end_the_flow() {
    let Some(world) = own() else { return };
    let wrong = [
        world.url().replace(&world.name, "no_such_database"),
        format!("mysql://nobody:hunter2@{}/{}", world.address(), world.name),
    ];
    for url in wrong {
        let error = world.sink_at(&url, Failpoints::default()).open(&run("x")).err().unwrap();
        assert!(matches!(error, Error::Sql { .. } | Error::Refused { .. }), "{error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
