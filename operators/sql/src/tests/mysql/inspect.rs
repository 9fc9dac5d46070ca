//! What a server's tables tell of themselves.

use super::super::inspect::told;
use super::super::{drive, refusal, run};
use super::{Own, own};
use crate::database::failpoint::Failpoints;
use operators_core::inspect::Extent;
use operators_core::replay::FLOW;
use std::time::SystemTime;

const COLUMNS: &str = r#"{"a": "int32"}"#;

fn extents(world: &Own) -> operators_core::Result<Vec<(u32, u64, u64)>> {
    let extents = world.source(COLUMNS, "").source.extents()?;
    Ok(extents.iter().map(|Extent { partition, first, next, .. }| (*partition, first.0, next.0)).collect())
}

#[test]
fn the_extent_of_a_table_is_that_of_its_ids() {
    let Some(world) = own() else { return };
    assert_eq!(extents(&world).unwrap(), []);
    world.run("CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, a INT)");
    assert_eq!(extents(&world).unwrap(), [(0, 0, 0)]);
    world.run("INSERT INTO t VALUES (7, 1), (8, 1), (900, 1)");
    assert_eq!(extents(&world).unwrap(), [(0, 7, 901)]);
    // What is not committed is not there yet, and is not waited for.
    let mut other = world.client();
    other.run("BEGIN; INSERT INTO t VALUES (901, 1); DELETE FROM t WHERE id = 7");
    assert_eq!(extents(&world).unwrap(), [(0, 7, 901)]);
    other.run("ROLLBACK");
    world.run(&format!("INSERT INTO t VALUES ({}, 1)", u64::MAX - 1));
    assert_eq!(extents(&world).unwrap(), [(0, 7, u64::MAX)]);
    world.run("ALTER TABLE t MODIFY id VARCHAR(30); INSERT INTO t VALUES ('x', 1)");
    let error = refusal(extents(&world));
    assert!(error.contains("id holds x"), "{error}");
}

/// A user who may do this with the tables of the world.
fn user(world: &Own, name: &str, grants: &str) -> String {
    let user = format!("{}_{name}", world.name);
    world.run(&format!("CREATE USER {user} IDENTIFIED BY 'hunter2'; GRANT {grants} ON {}.* TO {user}", world.name));
    user
}

fn url(world: &Own, user: &str, password: &str) -> String {
    format!("mysql://{user}:{password}@{}/{}", world.address(), world.name)
}

/// How the server describes all that is in the database, and what is in it.
fn contents(world: &Own) -> Vec<String> {
    let tables =
        world.texts("SELECT CONCAT(table_name) FROM information_schema.tables WHERE table_schema = DATABASE()");
    let sums = tables.iter().map(|table| {
        let mut client = world.client();
        let shown = client.texts(&format!("SELECT CAST(count(*) AS CHAR) FROM `{}`", table.replace('`', "``")));
        format!("{table} {}", shown.concat())
    });
    sums.collect()
}

#[test]
fn a_sink_says_what_is_there_and_what_it_may_do_with_it() {
    let Some(world) = own() else { return };
    let connect = |url: &str| told(world.sink_at(url, Failpoints::default()).connect(FLOW));
    let all = url(&world, &user(&world, "all", "SELECT, INSERT, UPDATE, CREATE"), "hunter2");
    let reader = url(&world, &user(&world, "reader", "SELECT"), "hunter2");

    let seen = connect(&all);
    assert!(seen[0].starts_with("fine: M") && seen[0].contains("answers at mysql://"), "{seen:?}");
    assert!(seen[0].ends_with("not encrypted"), "the settings of the sink say so: {seen:?}");
    assert!(seen[1].starts_with("not yet: table") && seen[2].starts_with("not yet: this user may create"), "{seen:?}");
    let seen = connect(&reader);
    let wrong: Vec<_> = seen.iter().filter(|line| line.starts_with("wrong: ")).collect();
    assert!(wrong.len() == 1 && wrong[0].contains("CREATE command denied"), "{seen:?}");
    assert_eq!(contents(&world), [""; 0], "nothing was created");

    let before = SystemTime::now();
    drive(&*world.sink_at(&all, Failpoints::default()), &run("one"), 2).unwrap();
    let there = contents(&world);
    let seen = connect(&all);
    assert!(seen.iter().all(|line| line.starts_with("fine: ")), "{seen:?}");
    let seen = connect(&reader);
    let wrong = seen.iter().find(|line| line.starts_with("wrong: ")).unwrap();
    for words in ["INSERT", "UPDATE", "weatherflow_progress", "weatherflow_dead_letters", "atures", "grant that"] {
        assert!(wrong.contains(words), "{words} in {wrong}");
    }
    let at = world.sink_at(&reader, Failpoints::default()).holdings(FLOW).unwrap().committed_at.unwrap();
    assert!(before <= at && at <= SystemTime::now(), "{at:?}");
    assert_eq!(contents(&world), there);

    let seen = connect(&url(&world, &format!("{}_all", world.name), "wrong"));
    assert!(seen.len() == 1 && seen[0].contains("Access denied for user") && seen[0].contains("Look at"), "{seen:?}");
    assert!(!seen[0].contains(":wrong"), "{seen:?}");

    world.run("ALTER TABLE weatherflow_dead_letters ENGINE = MyISAM");
    let seen = connect(&all);
    assert!(seen.iter().any(|line| line.starts_with("wrong: ") && line.contains("MyISAM")), "{seen:?}");
    world.run(&format!("DROP USER {0}_all, {0}_reader", world.name));
}

#[test]
fn a_source_says_whether_it_can_read_and_see_open_transactions() {
    let Some(world) = own() else { return };
    let connect = |url: &str| told(world.source_at(url, COLUMNS, "").source.connect(FLOW));
    let seen = connect(&world.url());
    assert!(seen[1].starts_with("not yet: ") && seen[1].contains("may not see it"), "{seen:?}");
    world.run("CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)");
    let seen = connect(&world.url());
    assert!(seen[0].contains("encrypted with TLS"), "{seen:?}");
    assert!(seen[1].starts_with("fine: ") && seen[1].contains("sees open transactions"), "{seen:?}");
    let reader = url(&world, &user(&world, "reader", "SELECT"), "hunter2");
    let seen = connect(&reader);
    assert!(seen[1].starts_with("wrong: ") && seen[1].contains("PROCESS"), "{seen:?}");
    world.run(&format!("DROP USER {}_reader", world.name));
}
