//! What the source of a server's table reads, waits for and refuses.

use super::super::{ALL, at, left, recount, refusal};
use super::{Own, ids, nothing_comes, own};
use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use operators_core::Error;
use operators_core::position::{Position, Span};
use operators_core::stage::{Read, Recount, Share};

const CREATE: &str = "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)";
const COLUMNS: &str = r#"{"a": "int32"}"#;

fn span(from: u64, to: u64) -> Span {
    Span { partition: 0, from: Position(from), to: Position(to), rows: 0, anchor: None }
}

/// A table of so many rows, `a` being the id.
fn filled(rows: u64) -> Option<Own> {
    let world = own()?;
    world.run(&format!(
        "{CREATE}; CREATE TABLE n (n INT); INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
         INSERT INTO t (a) SELECT 0 FROM n a, n b, n c, n d, n e LIMIT {rows}; UPDATE t SET a = id"
    ));
    Some(world)
}

#[test]
fn reads_every_row_once_however_it_is_cut() {
    let Some(world) = filled(30_000) else { return };
    world.run("DELETE FROM t WHERE id % 7 = 0 OR id BETWEEN 9000 AND 12000");
    let expected: Vec<u64> =
        world.texts("SELECT CAST(id AS CHAR) FROM t ORDER BY id").iter().map(|id| id.parse().unwrap()).collect();
    let built = world.source(COLUMNS, "");
    let end = expected.last().unwrap() + 1;
    for start in [0, 1, 2, 7, 8, 8192, 9500, 29_999, end] {
        let mut reader = built.source.open(ALL, &at(start)).unwrap();
        assert_eq!(reader.lag().unwrap().total(), Some(end.saturating_sub(start)));
        let mut next = start;
        let expected: Vec<u64> = expected.iter().copied().filter(|id| *id >= start).collect();
        assert_eq!(ids(&mut *reader, &mut next, expected.len()), expected, "from {start}");
        assert_eq!((next, reader.lag().unwrap().total()), (end.max(start), Some(0)));
        nothing_comes(&mut *reader);
    }
    assert_eq!(recount(&built, &span(0, u64::MAX)), left(expected.len() as u64));
    assert_eq!(recount(&built, &span(9000, 12_002)), left(1));
}

#[test]
fn waits_for_a_table_that_is_not_there_yet() {
    let Some(world) = own() else { return };
    let built = world.source(COLUMNS, "");
    let mut reader = built.source.open(ALL, &at(0)).unwrap();
    assert!(matches!(reader.read().unwrap(), Read::CaughtUp(_)));
    assert_eq!((reader.lag().unwrap().total(), recount(&built, &span(0, 9))), (None, Recount::Gone));
    world.run(CREATE);
    assert!(matches!(reader.read().unwrap(), Read::CaughtUp(_)));
    world.run("INSERT INTO t (a) VALUES (7), (8)");
    assert_eq!(ids(&mut *reader, &mut 0, 2), [1, 2]);
    let mut idle = built.source.open(Share { index: 1, of: 2 }, &at(0)).unwrap();
    assert!(matches!(idle.read().unwrap(), Read::End));
}

#[test]
fn rows_of_megabytes_come_in_small_pages() {
    let Some(world) = own() else { return };
    world.run(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a LONGTEXT);
         INSERT INTO t (a) VALUES ('x'), ('y');
         INSERT INTO t (a) VALUES (REPEAT('a', 2 << 20)), (REPEAT('b', 2 << 20)), (REPEAT('c', 2 << 20)), (REPEAT('d', 2 << 20));
         INSERT INTO t (a) VALUES ('z')",
    );
    let mut reader = world.source(r#"{"a": "string"}"#, "").source.open(ALL, &at(0)).unwrap();
    let (mut pages, mut read) = (Vec::new(), String::new());
    while read.len() < 7 {
        match reader.read().unwrap() {
            Read::Rows(chunk, span) => {
                let texts = chunk.rows.column(0).as_string::<i32>();
                pages.push(texts.iter().map(|text| text.unwrap().len()).sum::<usize>());
                read.extend(texts.iter().map(|text| text.unwrap().chars().next().unwrap()));
                assert_eq!(span.rows, chunk.len());
            }
            Read::Pause(time) | Read::CaughtUp(time) => std::thread::sleep(time),
            Read::End => unreachable!("a table has no end"),
        }
    }
    assert_eq!(read, "xyabcdz");
    assert!(pages.iter().all(|bytes| *bytes < 3 << 20), "{pages:?}");
}

/// Rows that grow longer than those before them end a page early, and cost no new connection.
#[test]
fn rows_of_varying_lengths_come_over_one_connection() {
    let Some(world) = own() else { return };
    world.run(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a TEXT);
         CREATE TABLE n (n INT); INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
         INSERT INTO t (a) SELECT '' FROM n a, n b, n c, n d;
         INSERT INTO t (a) SELECT '' FROM n a, n b, n c, n d;
         UPDATE t SET a = REPEAT('x', CASE WHEN id < 9000 THEN 200 + id % 100 WHEN id < 14000 THEN 400 ELSE 500 END)",
    );
    let mut reader = world.source(r#"{"a": "string"}"#, "").source.open(ALL, &at(0)).unwrap();
    let connections = format!(
        "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
        world.name
    );
    let mut client = world.client();
    // The one that made the table may be on its way out.
    let one = testkit::wait_for("one connection", || Some(client.texts(&connections)).filter(|found| found.len() == 1));
    let mut next = 0;
    while next < 20_001 {
        ids(&mut *reader, &mut next, 1);
        assert_eq!(client.texts(&connections), one, "at {next}");
    }
}

#[test]
fn a_cursor_may_lie_above_the_greatest_signed_integer() {
    let Some(world) = own() else { return };
    world.run(
        "CREATE TABLE t (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, a INT) AUTO_INCREMENT = 9223372036854775800;
         INSERT INTO t (a) SELECT 1 FROM information_schema.collations LIMIT 20",
    );
    let built = world.source(COLUMNS, "");
    let (mut reader, first) = (built.source.open(ALL, &at(0)).unwrap(), 9_223_372_036_854_775_800);
    let expected: Vec<u64> = (first..first + 20).collect();
    assert_eq!(ids(&mut *reader, &mut 0, 20), expected);
    assert_eq!(reader.lag().unwrap().total(), Some(0));
    assert_eq!(recount(&built, &span(first + 9, first + 15)), left(6));
    let middle = i64::MAX as u64 + 2;
    let mut reader = built.source.open(ALL, &at(middle)).unwrap();
    let rest: Vec<u64> = (middle..first + 20).collect();
    assert_eq!(ids(&mut *reader, &mut middle.clone(), rest.len()), rest);
}

#[test]
fn a_column_that_could_lose_rows_is_no_cursor() {
    let Some(world) = own() else { return };
    let tables = [
        ("CREATE TABLE t (id INT, a INT)", "NOT NULL and a UNIQUE index"),
        ("CREATE TABLE t (id INT NOT NULL, a INT)", "a UNIQUE index"),
        ("CREATE TABLE t (id INT UNIQUE, a INT)", "NOT NULL"),
        ("CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, a INT)", "an integer type"),
        ("CREATE TABLE t (id DECIMAL(9) PRIMARY KEY, a INT)", "an integer type"),
        ("CREATE TABLE t (id DOUBLE PRIMARY KEY, a INT)", "an integer type"),
        ("CREATE TABLE t (id YEAR PRIMARY KEY, a INT)", "an integer type"),
        ("CREATE TABLE t (id INT NOT NULL, a INT, UNIQUE (id, a))", "a UNIQUE index"),
        ("CREATE TABLE t (id INT NOT NULL, a INT, PRIMARY KEY (a, id))", "a UNIQUE index"),
        ("CREATE TABLE t (n INT PRIMARY KEY, a INT)", "no column id; the table has n, a"),
        ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, b INT)", "no column a; the table has id, b"),
        ("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT); INSERT INTO t VALUES (-3, 1)", "down to -3"),
        ("CREATE TABLE t (id INT PRIMARY KEY, a INT)", "not AUTO_INCREMENT"),
    ];
    for (sql, expected) in tables {
        world.run(&format!("DROP TABLE IF EXISTS t; {sql}"));
        let error = refusal(world.source(COLUMNS, "").source.open(ALL, &at(0)));
        assert!(error.contains(expected), "{sql}: {error}");
    }
    println!("{} tables refused", tables.len());
}

#[test]
fn an_id_below_zero_is_refused_whenever_it_appears() {
    let Some(world) = filled(10) else { return };
    let mut reader = world.source(COLUMNS, "").source.open(ALL, &at(0)).unwrap();
    assert_eq!(ids(&mut *reader, &mut 0, 10).len(), 10);
    world.run("INSERT INTO t (id, a) VALUES (-3, 0)");
    // It looks after its table from time to time.
    let error = loop {
        match reader.read() {
            Ok(Read::Pause(time) | Read::CaughtUp(time)) => std::thread::sleep(time),
            read => break refusal(read),
        }
    };
    assert!(error.contains("down to -3"), "{error}");
}

#[test]
fn names_of_every_kind_are_quoted() {
    let Some(world) = own() else { return };
    world.run("CREATE TABLE t (`the ``id` INT AUTO_INCREMENT PRIMARY KEY, `select` INT, `x{}'\"y` INT); INSERT INTO t VALUES (1, 2, 3)");
    let built = world.source(r#"{"select": "int32", "x{}'\"Y": "int32"}"#, r#", "cursor": "the `id""#);
    let mut reader = built.source.open(ALL, &at(0)).unwrap();
    let Read::Rows(chunk, _) = reader.read().unwrap() else { panic!() };
    assert_eq!(chunk.rows.column(1).as_primitive::<Int32Type>().value(0), 3);
}

#[test]
fn a_deleted_tail_is_told_from_a_truncated_table() {
    let Some(world) = filled(100) else { return };
    world.run("DELETE FROM t WHERE id > 60");
    let mut next = 101;
    let mut reader = world.source(COLUMNS, "").source.open(ALL, &at(next)).unwrap();
    nothing_comes(&mut *reader);
    world.run("INSERT INTO t (a) VALUES (1), (2)");
    let came = ids(&mut *reader, &mut next, 2);
    assert!(came[0] > 100, "{came:?}");
    let ways = ["TRUNCATE t", "DROP TABLE t", &format!("DROP TABLE t; {CREATE}; INSERT INTO t (a) VALUES (1), (2)")];
    for sql in ways {
        let Some(world) = filled(100) else { return };
        let built = world.source(COLUMNS, "");
        let (mut reader, mut next) = (built.source.open(ALL, &at(0)).unwrap(), 0);
        ids(&mut *reader, &mut next, 100);
        world.run(sql);
        // Looked at now and then: what is there meanwhile is no row to be read.
        let error = loop {
            match reader.read() {
                Ok(Read::Pause(time) | Read::CaughtUp(time)) => std::thread::sleep(time),
                Ok(other) => panic!("{sql}: {other:?}"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Refused { .. }), "{sql}: {error}");
        let error = refusal(built.source.open(ALL, &at(next)));
        assert!(error.contains("start the flow anew"), "{sql}: {error}");
    }
}

/// Emptied and filled again beyond the position, so that there is a next row to read, and it is the wrong one.
#[test]
fn a_table_that_was_filled_anew_is_not_read_on() {
    let again = "TRUNCATE t; INSERT INTO t (a) SELECT 1 FROM n a, n b LIMIT 60";
    let other = format!("DROP TABLE t; {CREATE} AUTO_INCREMENT = 500; INSERT INTO t (id, a) VALUES (40, 1), (50, 1)");
    for sql in [again, &other] {
        let Some(world) = filled(100) else { return };
        let mut reader = world.source(COLUMNS, "").source.open(ALL, &at(50)).unwrap();
        // The server knows when a table was created, and the reader looks at it, to the second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        world.run(sql);
        let error = refusal(reader.read());
        assert!(error.contains("truncated, recreated or altered"), "{sql}: {error}");
    }
}

/// Without the privilege to see open transactions a bound of time has to do, and the file says what comes after it.
#[test]
fn where_transactions_cannot_be_seen_the_file_decides() {
    let Some(world) = own() else { return };
    let user = format!("{}_u", world.name);
    world.run(&format!("CREATE USER {user} IDENTIFIED BY 'pass/word'; GRANT SELECT ON {}.* TO {user}", world.name));
    let url = format!("mysql://{user}@{}/{}", world.address(), world.name);
    let with = |more: &str| world.source_at(&url, COLUMNS, &format!(r#", "password": "pass/word"{more}"#));
    world.run(&format!("{CREATE}; INSERT INTO t (a) VALUES (1), (2)"));

    let error = refusal(with("").source.open(ALL, &at(0)));
    assert!(error.contains("PROCESS") && error.contains("late_commits") && !error.contains("pass/word"), "{error}");

    // As long as there is no gap, there is nothing to decide.
    let mut fail = with(r#", "late_commits": {"wait": "0.3s", "then": "fail"}"#).source.open(ALL, &at(0)).unwrap();
    let mut next = 0;
    assert_eq!(ids(&mut *fail, &mut next, 2), [1, 2]);
    nothing_comes(&mut *fail);
    let mut late = world.client();
    late.run("BEGIN; INSERT INTO t (a) VALUES (3)");
    world.run("INSERT INTO t (a) VALUES (4)");
    let error = loop {
        match fail.read() {
            Ok(Read::Pause(time)) => std::thread::sleep(time),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("1 ids between 3 and 5") && error.contains("skip"), "{error}");

    // A row that comes within the bound is no loss; one that does not is passed over.
    let mut skip = with(r#", "late_commits": {"wait": "2s", "then": "skip"}"#).source.open(ALL, &at(3)).unwrap();
    assert!(matches!(skip.read().unwrap(), Read::Pause(_)));
    late.run("COMMIT");
    assert_eq!(ids(&mut *skip, &mut next, 2), [3, 4]);
    late.run("BEGIN; INSERT INTO t (a) VALUES (5)");
    world.run("INSERT INTO t (a) VALUES (6)");
    assert_eq!(ids(&mut *skip, &mut next, 1), [6]);
    late.run("ROLLBACK");
    world.run(&format!("DROP USER {user}"));
}

#[test]
fn a_lost_connection_is_unavailable_and_the_next_open_goes_on() {
    let Some(world) = filled(10) else { return };
    let built = world.source(COLUMNS, "");
    let (mut reader, mut next) = (built.source.open(ALL, &at(0)).unwrap(), 0);
    ids(&mut *reader, &mut next, 10);
    let mut root = world.client();
    let own = root.id();
    let sessions = format!(
        "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE db = '{}' AND id <> {own}",
        world.name
    );
    for id in root.texts(&sessions) {
        let _ = root.try_run(&format!("KILL {id}"));
    }
    let error = reader.read().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    world.run("INSERT INTO t (a) VALUES (1)");
    let mut reader = built.source.open(ALL, &at(next)).unwrap();
    assert_eq!(ids(&mut *reader, &mut next, 1).len(), 1);
}
