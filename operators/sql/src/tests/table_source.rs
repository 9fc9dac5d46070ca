//! What the table source reads, waits for and refuses.

use super::{ALL, at, execute, folder, left, read_all, recount, refusal, source};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Float64Type, Int32Type, TimestampMicrosecondType};
use operators_core::position::{Checkpoint, Position, Span};
use operators_core::stage::{Read, Recount, Share};

const SOURCE: &str = r#"{"table": {"url": "sqlite:weather.db", "table": "t",
    "columns": {"station": "string", "degrees": "float64"}}}"#;
const CREATE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, station TEXT, degrees REAL);";

/// Ids from 1 on.
fn insert(count: u64) -> String {
    format!(
        "INSERT INTO t (station, degrees) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         SELECT 's' || i, i / 2.0 FROM n;"
    )
}

fn span(from: u64, to: u64) -> Span {
    Span { partition: 0, from: Position(from), to: Position(to), rows: 0, anchor: None }
}

#[test]
fn reads_every_row_once_however_it_is_cut() {
    let dir = folder();
    execute(
        dir.path(),
        &format!("{CREATE}{}DELETE FROM t WHERE id % 7 = 0 OR id BETWEEN 9000 AND 12000;", insert(30_000)),
    );
    let built = source(dir.path(), SOURCE);
    assert_eq!(built.schema.to_string(), "degrees: float64?, station: string?");
    let expected: Vec<u64> = (1..=30_000).filter(|id| id % 7 != 0 && !(9000..=12_000).contains(id)).collect();
    let mut cuts = 0;
    for start in [0, 1, 2, 7, 8, 8192, 9500, 29_999, 30_000, 30_001] {
        let mut reader = built.source.open(ALL, &at(start)).unwrap();
        assert_eq!(reader.lag().unwrap().total(), Some(30_001 - start));
        let pages = read_all(&mut *reader).unwrap();
        let mut next = start;
        let mut ids: Vec<u64> = Vec::new();
        for (chunk, span) in &pages {
            assert_eq!((span.from.0, span.rows), (next, chunk.len()), "pages follow each other");
            next = span.to.0;
            ids.extend(chunk.positions.values());
            let stations = chunk.rows.column_by_name("station").unwrap().as_string::<i32>();
            let degrees = chunk.rows.column_by_name("degrees").unwrap().as_primitive::<Float64Type>();
            for (row, id) in chunk.positions.values().iter().enumerate() {
                assert_eq!((stations.value(row), degrees.value(row)), (format!("s{id}").as_str(), *id as f64 / 2.0));
            }
            assert_eq!(recount(&built, span), left(span.rows));
        }
        assert!(ids.iter().eq(expected.iter().filter(|id| **id >= start)), "from {start}");
        assert_eq!(reader.lag().unwrap().total(), Some(0));
        cuts += pages.len();
    }
    println!("{} rows read from 10 positions in {cuts} pages", expected.len());
    assert_eq!(recount(&built, &span(0, u64::MAX)), left(expected.len() as u64));
}

#[test]
fn waits_for_a_table_that_is_not_there_yet_and_creates_nothing() {
    let dir = folder();
    let built = source(dir.path(), SOURCE);
    let mut reader = built.source.open(ALL, &Checkpoint::default()).unwrap();
    assert!(matches!(reader.read().unwrap(), Read::CaughtUp(_)));
    assert_eq!((reader.lag().unwrap().total(), recount(&built, &span(0, 9))), (None, Recount::Gone));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was created");
    execute(dir.path(), "CREATE TABLE other (id INTEGER PRIMARY KEY)");
    assert!(matches!(reader.read().unwrap(), Read::CaughtUp(_)));
    execute(dir.path(), CREATE);
    assert!(matches!(reader.read().unwrap(), Read::CaughtUp(_)));
    execute(dir.path(), &insert(3));
    assert_eq!(read_all(&mut *reader).unwrap()[0].1, Span { rows: 3, ..span(0, 4) });
    // Another worker has nothing to read, and does not end the flow for the first.
    let mut idle = built.source.open(Share { index: 1, of: 2 }, &Checkpoint::default()).unwrap();
    assert!(matches!(idle.read().unwrap(), Read::End));
}

#[test]
fn rows_of_megabytes_come_in_small_pages() {
    let dir = folder();
    execute(
        dir.path(),
        &format!(
            "{CREATE}INSERT INTO t (station) SELECT printf('%.*c', 2 << 20, 'x') FROM (VALUES (1), (2), (3), (4), (5));"
        ),
    );
    let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
    let pages = read_all(&mut *reader).unwrap();
    assert_eq!(pages.iter().map(|(_, span)| span.to.0).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(pages.iter().all(|(chunk, _)| chunk.rows.column(1).as_string::<i32>().value(0).len() == 2 << 20));
}

#[test]
fn every_type_is_read_from_its_class() {
    let dir = folder();
    execute(
        dir.path(),
        "CREATE TABLE t (n INT NOT NULL UNIQUE, flag, small, big, single, double, whole NUMERIC, text TEXT, raw, day, at);
         INSERT INTO t VALUES (3, 1, -5, 9223372036854775807, 0.5, -0.25, 20.0, '', x'', '2000-02-29', '2000-01-31T06:00:00.25+01:00');
         INSERT INTO t (n) VALUES (5);",
    );
    let built = source(
        dir.path(),
        r#"{"table": {"url": "sqlite:weather.db", "table": "T", "cursor": "N", "columns": {"flag": "bool", "small": "int32",
            "big": "int64", "single": "float32", "double": "float64", "whole": "float64", "text": "string", "raw": "bytes",
            "day": "date", "at": "timestamp"}}}"#,
    );
    let pages = read_all(&mut *built.source.open(ALL, &Checkpoint::default()).unwrap()).unwrap();
    let (chunk, span) = &pages[0];
    assert_eq!((span.to, span.rows), (Position(6), 2));
    let column = |name: &str| chunk.rows.column_by_name(name).unwrap();
    assert!(column("flag").as_boolean().value(0));
    assert_eq!(column("small").as_primitive::<Int32Type>().value(0), -5);
    assert_eq!(column("whole").as_primitive::<Float64Type>().value(0), 20.0);
    assert_eq!((column("text").as_string::<i32>().value(0), column("raw").as_binary::<i32>().value(0)), ("", &b""[..]));
    assert_eq!(column("day").as_primitive::<Date32Type>().value(0), 11_016);
    assert_eq!(column("at").as_primitive::<TimestampMicrosecondType>().value(0), 949_294_800_250_000);
    assert!(chunk.rows.columns().iter().all(|column| column.is_valid(0) && column.is_null(1)));
}

#[test]
fn a_value_of_another_class_is_an_error_that_names_it() {
    let cases = [
        ("string", "5", "the integer 5"),
        ("int32", "3000000000", "no int32"),
        ("int64", "1.5", "the real 1.5"),
        ("float64", "'warm'", "the text `warm`"),
        ("float64", "9007199254740993", "the integer"),
        ("bool", "2", "the integer 2"),
        ("bytes", "'x'", "the text"),
        ("date", "'2001-02-29'", "no date"),
        ("timestamp", "'noon'", "no time"),
        ("string", "CAST(x'ff' AS TEXT)", "cannot be read"),
    ];
    for (declared, value, expected) in cases {
        let dir = folder();
        execute(
            dir.path(),
            &format!("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (41, NULL), (42, {value})"),
        );
        let json =
            format!(r#"{{"table": {{"url": "sqlite:weather.db", "table": "t", "columns": {{"a": "{declared}"}}}}}}"#);
        let mut reader = source(dir.path(), &json).source.open(ALL, &Checkpoint::default()).unwrap();
        let error = refusal(reader.read());
        for part in ["table t in ", "id 42", "column a", declared, expected] {
            assert!(error.contains(part), "{declared} {value}: {part} in {error}");
        }
    }
    println!("{} wrong values named", cases.len());
}

#[test]
fn a_column_that_could_lose_rows_is_no_cursor() {
    let tables = [
        ("CREATE TABLE t (id INT, a)", "NOT NULL and a UNIQUE index"),
        ("CREATE TABLE t (id INT NOT NULL, a)", "a UNIQUE index"),
        ("CREATE TABLE t (id INT UNIQUE, a)", "NOT NULL"),
        ("CREATE TABLE t (id TEXT NOT NULL UNIQUE, a)", "an integer type"),
        ("CREATE TABLE t (id INT NOT NULL, a, UNIQUE (id, a))", "a UNIQUE index"),
        ("CREATE TABLE t (id INT NOT NULL, a); CREATE UNIQUE INDEX i ON t (id) WHERE a", "a UNIQUE index"),
        ("CREATE TABLE t (id INT PRIMARY KEY, a)", "NOT NULL"),
        ("CREATE TABLE t (id INT NOT NULL, a INT NOT NULL, PRIMARY KEY (id, a))", "a UNIQUE index"),
        ("CREATE TABLE u (id INTEGER PRIMARY KEY, a); CREATE VIEW t AS SELECT * FROM u", "NOT NULL"),
        ("CREATE TABLE t (n INTEGER PRIMARY KEY, a)", "no column id; the table has n, a"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, b)", "no column a; the table has id, b"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (-3, 1)", "down to -3"),
    ];
    for (sql, expected) in tables {
        let dir = folder();
        execute(dir.path(), sql);
        let built =
            source(dir.path(), r#"{"table": {"url": "sqlite:weather.db", "table": "t", "columns": {"a": "int64"}}}"#);
        let error = refusal(built.source.open(ALL, &Checkpoint::default()));
        assert!(error.contains(expected), "{sql}: {error}");
    }
    println!("{} tables refused", tables.len());
}

#[test]
fn an_id_below_zero_is_refused_whenever_it_appears() {
    for rows in [0, 100] {
        let dir = folder();
        let filled = if rows > 0 { insert(rows) } else { String::new() };
        execute(dir.path(), &format!("{CREATE}{filled}"));
        let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
        read_all(&mut *reader).unwrap();
        execute(dir.path(), "INSERT INTO t (id) VALUES (-3)");
        assert_eq!(reader.lag().unwrap().total(), Some(0));
        let error = refusal(reader.read());
        assert!(error.contains("down to -3"), "{error}");
    }
}

#[test]
fn names_of_every_kind_are_quoted() {
    let dir = folder();
    execute(
        dir.path(),
        "CREATE TABLE \"a\"\"b; DROP\" (\"the id\" INTEGER PRIMARY KEY, \"select\" TEXT, \"x{}'\"\"y\" REAL);
                         INSERT INTO \"a\"\"b; DROP\" VALUES (1, 'one', 1.5)",
    );
    let built = source(
        dir.path(),
        r#"{"table": {"url": "sqlite:weather.db", "table": "a\"b; DROP", "cursor": "the id",
            "columns": {"select": "string", "x{}'\"y": "float64"}}}"#,
    );
    let pages = read_all(&mut *built.source.open(ALL, &Checkpoint::default()).unwrap()).unwrap();
    assert_eq!(pages[0].0.rows.column(0).as_string::<i32>().value(0), "one");
    assert_eq!(recount(&built, &span(0, 9)), left(1));
}

#[test]
fn a_deleted_tail_is_told_from_a_truncated_table() {
    // AUTOINCREMENT remembers the greatest id: the newest rows may go, and later ones are read.
    let dir = folder();
    execute(dir.path(), &format!("{CREATE}{}DELETE FROM t WHERE id > 60;", insert(100)));
    let mut reader = source(dir.path(), SOURCE).source.open(ALL, &at(101)).unwrap();
    assert!(read_all(&mut *reader).unwrap().is_empty());
    execute(dir.path(), &insert(2));
    assert_eq!(read_all(&mut *reader).unwrap()[0].1, Span { rows: 2, ..span(101, 103) });
    // Without, an id may come again, and its row would never be read.
    let dir = folder();
    execute(dir.path(), &format!("{}{}DELETE FROM t WHERE id > 60;", CREATE.replace("AUTOINCREMENT", ""), insert(100)));
    let error = refusal(source(dir.path(), SOURCE).source.open(ALL, &at(101)));
    assert!(
        error.contains("ends at 61") && error.contains("[0, 101) of id") && error.contains("start the flow anew"),
        "{error}"
    );
}

#[test]
fn a_table_that_is_lost_is_never_mistaken_for_one_without_news() {
    let mut ways = 0;
    for sql in ["DROP TABLE t", "DELETE FROM t; DELETE FROM sqlite_sequence"] {
        // While it is read, and from one start to the next.
        let dir = folder();
        execute(dir.path(), &format!("{CREATE}{}", insert(100)));
        let built = source(dir.path(), SOURCE);
        let mut reader = built.source.open(ALL, &Checkpoint::default()).unwrap();
        assert_eq!(read_all(&mut *reader).unwrap().len(), 1);
        execute(dir.path(), sql);
        assert!(reader.read().is_err(), "{sql}");
        refusal(built.source.open(ALL, &at(101)));
        ways += 2;
    }
    // The file deleted, and put back empty or full.
    for back in [None, Some(0), Some(200)] {
        let dir = folder();
        execute(dir.path(), &format!("{CREATE}{}", insert(100)));
        let mut reader = source(dir.path(), SOURCE).source.open(ALL, &Checkpoint::default()).unwrap();
        assert_eq!(read_all(&mut *reader).unwrap().len(), 1);
        std::fs::remove_file(dir.path().join("weather.db")).unwrap();
        for rest in ["weather.db-wal", "weather.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(rest));
        }
        if let Some(rows) = back {
            execute(dir.path(), &format!("{CREATE}{}", if rows > 0 { insert(rows) } else { String::new() }));
        }
        assert!(refusal(reader.read()).contains("deleted or replaced"), "{back:?}");
        ways += 1;
    }
    println!("{ways} ways to lose a table seen");
}
