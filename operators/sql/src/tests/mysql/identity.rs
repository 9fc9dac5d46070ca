//! What tells a table from another that took its place while nobody looked.

use super::super::{ALL, at, refusal};
use super::{Own, ids, own};
use operators_core::stage::{BuiltSource, Read, Reader};
use std::time::{Duration, Instant};

const COLUMNS: &str = r#"{"a": "int32"}"#;
const FILL: &str = "INSERT INTO t (a) SELECT 1 FROM n AS a, n AS b";
/// Changes that keep the table, and those that make it anew with all its rows.
const KEEP: [&str; 3] = ["ALTER TABLE t ADD COLUMN b INT", "CREATE INDEX i ON t (a)", "ALTER TABLE t COMMENT 'x'"];
const REMAKE: [&str; 2] = ["OPTIMIZE TABLE t", "ALTER TABLE t MODIFY a BIGINT"];

/// A table of a hundred rows.
fn filled() -> Option<Own> {
    let world = own()?;
    world.run(&format!(
        "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT);
         CREATE TABLE n (n INT); INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9); {FILL}"
    ));
    Some(world)
}

/// A reader that has given all of them, and where it stands.
fn read(world: &Own) -> (Box<dyn Reader>, u64) {
    let (mut reader, mut next) = (world.source(COLUMNS, "").source.open(ALL, &at(0)).unwrap(), 0);
    ids(&mut *reader, &mut next, 100);
    (reader, next)
}

fn identity(source: &BuiltSource) -> String {
    source.source.identity().unwrap().unwrap()
}

/// Looked at by another process each time, as between two runs.
#[test]
fn another_table_under_the_name_has_another_identity() {
    let Some(world) = filled() else { return };
    let before = identity(&world.source(COLUMNS, ""));
    for sql in KEEP {
        world.run(sql);
        assert_eq!(identity(&world.source(COLUMNS, "")), before, "{sql}");
    }
    let again = format!("DROP TABLE t; CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT); {FILL}; {FILL}");
    let ways = [format!("TRUNCATE t; {FILL}; {FILL}"), again, REMAKE[0].to_owned(), REMAKE[1].to_owned()];
    let mut was = before.clone();
    for sql in ways {
        world.run(&sql);
        let source = world.source(COLUMNS, "");
        let is = identity(&source);
        assert_ne!(is, was, "{sql}");
        // What to do is for a person to say, and then it holds until the next time.
        let advice = source.source.if_another(&was, Some(&is)).unwrap();
        let known_as = format!(r#"known_as = ["{was}", "{is}"]"#);
        assert!(advice.contains(&known_as) && advice.contains("every row is still there"), "{sql}: {advice}");
        let told = world.source(COLUMNS, &format!(r#", "known_as": ["{was}", "{is}"]"#));
        assert_eq!(told.source.if_another(&was, Some(&is)), None);
        assert!(told.source.if_another(&was, Some("table 0")).unwrap().contains(r#", "table 0"]"#));
        assert!(told.source.if_another(&was, None).unwrap().contains("Put the old table back"));
        was = is;
    }
    world.run("DROP TABLE t");
    assert_eq!(world.source(COLUMNS, "").source.identity().unwrap(), None);
}

/// Emptied and filled beyond the position, so that nothing but its identity tells.
#[test]
fn a_table_that_was_filled_anew_between_two_connections_is_not_read_on() {
    let Some(world) = filled() else { return };
    let built = world.source(COLUMNS, "");
    let (mut reader, mut next) = (built.source.open(ALL, &at(0)).unwrap(), 0);
    ids(&mut *reader, &mut next, 100);
    drop(reader);
    world.run(&format!("TRUNCATE t; {FILL}; {FILL}"));
    let error = refusal(built.source.open(ALL, &at(next)));
    assert!(error.contains("truncated, recreated or altered") && error.contains("known_as = ["), "{error}");
    let error = refusal(built.source.identity());
    assert!(error.contains("truncated, recreated or altered"), "nor does a commit say that it was read: {error}");
}

#[test]
fn a_table_that_is_altered_in_place_is_read_on() {
    let Some(world) = filled() else { return };
    let (mut reader, mut next) = read(&world);
    // The server knows to the second when a table was made or altered.
    std::thread::sleep(Duration::from_millis(1100));
    for sql in KEEP {
        world.run(&format!("{sql}; INSERT INTO t (a) VALUES (1)"));
        assert!(matches!(look_after(&mut *reader).unwrap(), Read::Pause(_)), "{sql}: it looks at the columns anew");
        ids(&mut *reader, &mut next, 1);
    }
    world.run(REMAKE[0]);
    let error = refusal(look_after(&mut *reader));
    assert!(error.contains("truncated, recreated or altered"), "{error}");
}

/// Though the page in which it shows cannot be read at all.
#[test]
fn a_column_that_goes_away_under_a_reader_is_called_by_its_name() {
    let Some(world) = filled() else { return };
    let (mut reader, _) = read(&world);
    std::thread::sleep(Duration::from_millis(1100));
    world.run("ALTER TABLE t RENAME COLUMN a TO b; INSERT INTO t (b) VALUES (1)");
    let error = refusal(reader.read());
    assert!(error.contains("there is no column a"), "{error}");
}

/// At once, so that the server's next id is a greater one again when the reader looks.
#[test]
fn a_table_that_is_filled_anew_under_a_reader_is_not_read_on() {
    let Some(world) = filled() else { return };
    let began = Instant::now();
    let (mut reader, _) = read(&world);
    let opened = began.elapsed();
    world.run(&format!("TRUNCATE t; {FILL}; {FILL}"));
    // At a gap the reader asks each 5 s, and for the identity once ten times as long has passed as that took.
    std::thread::sleep(Duration::from_secs(5).max(10 * opened));
    let error = refusal(look_after(&mut *reader));
    assert!(error.contains("truncated, recreated or altered"), "{error}");
}

/// One read when the reader looks at its table again: behind rows, and a second after it did so before.
fn look_after(reader: &mut dyn Reader) -> operators_core::Result<Read> {
    std::thread::sleep(Duration::from_millis(1100));
    reader.read()
}

/// Without the privilege to see InnoDB's numbers, the time when the table was made has to do.
#[test]
fn without_a_privilege_the_time_of_its_making_tells() {
    let Some(world) = filled() else { return };
    let user = format!("{}_u", world.name);
    world.run(&format!("CREATE USER {user} IDENTIFIED BY 'x'; GRANT SELECT ON {}.* TO {user}", world.name));
    let url = format!("mysql://{user}:x@{}/{}", world.address(), world.name);
    let before = identity(&world.source_at(&url, COLUMNS, ""));
    assert_eq!(identity(&world.source_at(&url, COLUMNS, "")), before);
    std::thread::sleep(Duration::from_millis(1100));
    world.run("DROP TABLE t; CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)");
    assert_ne!(identity(&world.source_at(&url, COLUMNS, "")), before);
    world.run(&format!("DROP USER {user}"));
}
