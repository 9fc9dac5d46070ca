//! Every type of a server's columns: mapped on purpose, or refused by its name.

use super::super::{ALL, at, refusal};
use super::{World, own};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use operators_core::chunk::Chunk;
use operators_core::stage::Read;

/// Reads all rows of `t`, of which there are so many.
fn read(world: &World, columns: &str) -> operators_core::Result<Chunk> {
    let mut reader = world.source(columns, "").source.open(ALL, &at(0))?;
    loop {
        match reader.read()? {
            Read::Rows(chunk, _) => return Ok(chunk),
            Read::Pause(time) | Read::CaughtUp(time) => std::thread::sleep(time),
            Read::End => unreachable!("a table has no end"),
        }
    }
}

#[test]
fn every_type_is_read_as_it_is_declared() {
    let Some(world) = own() else { return };
    let mut client = world.client();
    client.run(
        "SET time_zone = '+05:30'; SET NAMES utf8mb4;
         CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, flag BOOLEAN, tiny TINYINT, small SMALLINT UNSIGNED,
            medium MEDIUMINT, big BIGINT, ubig BIGINT UNSIGNED ZEROFILL, single FLOAT, double_ DOUBLE,
            money DECIMAL(65,30), price DECIMAL(10,2), whole DECIMAL(18,0), year_ YEAR,
            emoji VARCHAR(20) CHARACTER SET utf8mb4, latin CHAR(10) CHARACTER SET latin1, long_ LONGTEXT, kind ENUM('a', 'ç'),
            tags SET('x', 'y'), doc JSON, raw VARBINARY(9), fixed BINARY(3), day DATE, daytext DATE, at DATETIME(6),
            sec DATETIME, stamp TIMESTAMP(6) NULL DEFAULT NULL);
         INSERT INTO t VALUES (1, TRUE, -128, 65535, -8388608, -9223372036854775808, 9223372036854775807, 0.1, 0.1,
            12345678901234567890123456789012345.123456789012345678901234567891, -20.10, 123456789012345678, 2155,
            '\u{1f327}\u{fe0f}ç', 'é', '', 'ç', 'x,y', '{\"a\": 1}', x'00ff', x'01', '2000-02-29', '2000-01-31', '0001-01-01 00:00:00.000001',
            '9999-12-31 23:59:59', '2000-01-01 05:30:00.25');
         INSERT INTO t (id) VALUES (2)",
    );
    let columns = r#"{"flag": "bool", "tiny": "int32", "small": "int32", "medium": "int64", "big": "int64", "ubig": "int64",
        "single": "float32", "double_": "float64", "money": "string", "price": "float64", "whole": "int64", "year_": "int32",
        "emoji": "string", "latin": "string", "long_": "string", "kind": "string", "tags": "string", "doc": "string",
        "raw": "bytes", "fixed": "bytes", "day": "date", "daytext": "string", "at": "timestamp", "sec": "timestamp",
        "stamp": "timestamp"}"#;
    // The zone of the server is no matter.
    let zone = client.texts("SELECT CAST(@@global.time_zone AS CHAR)").remove(0);
    client.run("SET GLOBAL time_zone = '+05:30'");
    let chunk = read(&world, columns).unwrap();
    client.run(&format!("SET GLOBAL time_zone = '{zone}'"));
    let column = |name: &str| chunk.rows.column_by_name(name).unwrap();
    let text = |name: &str| column(name).as_string::<i32>().value(0).to_owned();
    let int32 = |name: &str| column(name).as_primitive::<Int32Type>().value(0);
    let int64 = |name: &str| column(name).as_primitive::<Int64Type>().value(0);
    let micros = |name: &str| column(name).as_primitive::<TimestampMicrosecondType>().value(0);
    assert!(column("flag").as_boolean().value(0));
    assert_eq!((int32("tiny"), int32("small"), int32("year_")), (-128, 65_535, 2155));
    assert_eq!((int64("medium"), int64("big"), int64("ubig")), (-8_388_608, i64::MIN, i64::MAX));
    assert_eq!(int64("whole"), 123_456_789_012_345_678);
    assert_eq!(column("single").as_primitive::<Float32Type>().value(0), 0.1);
    assert_eq!(column("double_").as_primitive::<Float64Type>().value(0), 0.1);
    assert_eq!(column("price").as_primitive::<Float64Type>().value(0), -20.1);
    assert_eq!(text("money"), "12345678901234567890123456789012345.123456789012345678901234567891");
    assert_eq!((text("emoji"), text("latin"), text("long_")), ("\u{1f327}\u{fe0f}ç".into(), "é".into(), String::new()));
    assert_eq!((text("kind"), text("tags"), text("doc")), ("ç".into(), "x,y".into(), r#"{"a": 1}"#.into()));
    assert_eq!(column("raw").as_binary::<i32>().value(0), b"\0\xff");
    assert_eq!(column("fixed").as_binary::<i32>().value(0), b"\x01\0\0");
    assert_eq!(column("day").as_primitive::<Date32Type>().value(0), 11_016);
    assert_eq!(text("daytext"), "2000-01-31");
    assert_eq!(micros("at"), -62_135_596_800_000_000 + 1);
    assert_eq!(micros("sec"), 253_402_300_799_000_000);
    // 05:30 in a zone five and a half hours east.
    assert_eq!(micros("stamp"), 946_684_800_250_000);
    assert!(chunk.rows.columns().iter().all(|column| column.is_valid(0) && column.is_null(1)));
}

#[test]
fn what_cannot_be_declared_so_is_refused_with_its_name_when_it_opens() {
    let Some(world) = own() else { return };
    let cases = [
        ("BIT(5)", "int64", "no counterpart"),
        ("TIME", "string", "no counterpart"),
        ("POINT", "bytes", "no counterpart"),
        ("DOUBLE", "float32", "`float64`"),
        ("DECIMAL(16,2)", "float64", "`string`"),
        ("DECIMAL(9,2)", "int64", "`string`"),
        ("VARCHAR(9)", "int32", "`string`"),
        ("BLOB", "string", "`bytes`"),
        ("DATETIME", "string", "`timestamp`"),
        ("DATE", "timestamp", "`date` or `string`"),
        ("INT", "string", "`int64` or `int32` or `bool`"),
        ("INT UNSIGNED", "float64", "`int64`"),
        ("BIGINT UNSIGNED", "float64", "`int64` or `string`"),
    ];
    for (sql, declared, expected) in cases {
        world.run(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, odd {sql})"));
        let error = refusal(read(&world, &format!(r#"{{"odd": "{declared}"}}"#)));
        for part in ["column odd, declared ", declared, expected] {
            assert!(error.contains(part), "{sql} as {declared}: {part} in {error}");
        }
    }
    // All at once.
    world.run("DROP TABLE t; CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a BIT, b TIME)");
    let error = refusal(read(&world, r#"{"a": "bool", "b": "string", "c": "string"}"#));
    assert!(["column a", "column b", "no column c"].iter().all(|part| error.contains(part)), "{error}");
    println!("{} types refused", cases.len());
}

/// What has no place in a narrower type has one as text: the greatest integers, and dates that are none.
#[test]
fn what_no_other_type_holds_is_read_as_text() {
    let Some(world) = own() else { return };
    world.run(
        "SET sql_mode = 'ALLOW_INVALID_DATES';
         CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, ubig BIGINT UNSIGNED, day DATE,
            span TIME, length VARCHAR(20) AS (CAST(span AS CHAR)), bits BIT(5), bitmap INT AS (bits + 0));
         INSERT INTO t (ubig, day, span, bits) VALUES (18446744073709551615, '0000-00-00', '-30:00:01', 17),
            (0, '2021-00-31', '00:00:00', 0)",
    );
    // TIME and BIT by generated columns, as their refusal says.
    let columns = r#"{"ubig": "string", "day": "string", "length": "string", "bitmap": "int32"}"#;
    let chunk = read(&world, columns).unwrap();
    let texts = |name: &str| {
        let column = chunk.rows.column_by_name(name).unwrap().as_string::<i32>();
        [column.value(0).to_owned(), column.value(1).to_owned()]
    };
    assert_eq!(texts("ubig"), ["18446744073709551615", "0"]);
    assert_eq!(texts("day"), ["0000-00-00", "2021-00-31"]);
    assert_eq!(texts("length"), ["-30:00:01", "00:00:00"]);
    let bits = chunk.rows.column_by_name("bitmap").unwrap().as_primitive::<Int32Type>();
    assert_eq!((bits.value(0), bits.value(1)), (17, 0));
}

#[test]
fn a_value_that_does_not_fit_is_an_error_that_names_it() {
    let Some(world) = own() else { return };
    let cases = [
        ("BIGINT UNSIGNED", "int64", "18446744073709551615", "18446744073709551615, which is no int64"),
        ("BIGINT", "int32", "3000000000", "3000000000, which is no int32"),
        ("INT UNSIGNED", "int32", "4294967295", "no int32"),
        ("TINYINT", "bool", "2", "the integer 2"),
        ("DATE", "date", "'0000-00-00'", "0000-00-00"),
        ("DATE", "date", "'2021-02-31'", "2021-02-31"),
        ("DATETIME", "timestamp", "'0000-00-00 00:00:00'", "0000-00-00"),
        ("TIMESTAMP NULL", "timestamp", "'0000-00-00 00:00:00'", "0000-00-00"),
    ];
    for (sql, declared, value, expected) in cases {
        world.run(&format!(
            "SET sql_mode = 'ALLOW_INVALID_DATES'; DROP TABLE IF EXISTS t;
             CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, odd {sql});
             INSERT INTO t VALUES (1, NULL), (2, {value})"
        ));
        let error = refusal(read(&world, &format!(r#"{{"odd": "{declared}"}}"#)));
        for part in ["id 2", "column odd", declared, expected] {
            assert!(error.contains(part), "{sql} {value} as {declared}: {part} in {error}");
        }
    }
    println!("{} wrong values named", cases.len());
}
