//! JSON in both directions: what is read is what was written, and what cannot be held is told.

use crate::decode::{self, DecodeConfig};
use crate::encode::{self, EncodeConfig};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use operators_core::chunk::Chunk;
use operators_core::config::{Context, OnError};
use operators_core::error::{Error, Result};
use operators_core::stage::Applied;
use operators_core::types::DeclaredType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::PathBuf;
use std::sync::Arc;

const COLUMNS: [(&str, DeclaredType); 9] = [
    ("bool", DeclaredType::Bool),
    ("bytes", DeclaredType::Bytes),
    ("date", DeclaredType::Date),
    ("float32", DeclaredType::Float32),
    ("float64", DeclaredType::Float64),
    ("int32", DeclaredType::Int32),
    ("int64", DeclaredType::Int64),
    ("string", DeclaredType::String),
    ("timestamp", DeclaredType::Timestamp),
];

/// A chunk of partition 3 whose row `i` stands at position `1000 + 2 i`.
fn chunk(rows: RecordBatch) -> Chunk {
    let positions = UInt64Array::from_iter_values((0..rows.num_rows() as u64).map(|row| 1000 + 2 * row));
    Chunk::new(3, positions, rows)
}

fn messages(messages: &[Option<&str>]) -> Chunk {
    let messages: ArrayRef = Arc::new(messages.iter().map(|text| text.map(str::as_bytes)).collect::<BinaryArray>());
    chunk(RecordBatch::try_from_iter_with_nullable([("value", messages, true)]).unwrap())
}

fn decode(chunk: Chunk, on_error: OnError) -> Result<Applied> {
    let columns = COLUMNS.map(|(name, of)| (name.to_owned(), of)).into();
    let config = DecodeConfig::Json(decode::json::JsonConfig { columns, on_error });
    let built = config.build(&chunk.columns(), &Context { dir: PathBuf::new() }).unwrap();
    let applied = built.stage.handle().apply(chunk)?;
    assert!(applied.rows.iter().all(|chunk| chunk.columns() == built.schema));
    Ok(applied)
}

fn encode(chunk: Chunk, on_error: OnError) -> Result<Applied> {
    let config = EncodeConfig::Json(encode::json::JsonConfig { on_error });
    let built = config.build(&chunk.columns(), &Context { dir: PathBuf::new() }).unwrap();
    let applied = built.stage.handle().apply(chunk)?;
    assert!(applied.rows.iter().all(|chunk| chunk.columns() == built.schema));
    Ok(applied)
}

fn values(chunk: &Chunk) -> Vec<String> {
    let values = chunk.rows.column_by_name("value").unwrap().as_binary::<i32>();
    values.iter().map(|value| String::from_utf8(value.unwrap().to_vec()).unwrap()).collect()
}

/// Positions, reasons and raw bytes of the rows put aside.
fn letters(applied: &Applied) -> Vec<(u64, String, Option<String>)> {
    let Some(letters) = &applied.dead_letters else { return Vec::new() };
    let reasons = letters.rows.column_by_name("reason").unwrap().as_string::<i32>().clone();
    let raw = letters.rows.column_by_name("raw").unwrap().as_binary::<i32>().clone();
    let row = |row: usize| {
        let raw = raw.is_valid(row).then(|| String::from_utf8_lossy(raw.value(row)).into_owned());
        (letters.positions.value(row), reasons.value(row).to_owned(), raw)
    };
    (0..reasons.len()).map(row).collect()
}

type Row = (
    (Option<bool>, Option<Vec<u8>>, Option<i32>, Option<f32>, Option<f64>),
    (Option<i32>, Option<i64>, Option<String>, Option<i64>),
);

fn row() -> impl Strategy<Value = Row> {
    use proptest::num::{f32, f64};
    use proptest::option::of;
    let bytes = proptest::collection::vec(any::<u8>(), 0..9);
    // Days and microseconds of the years 0 to 9999, the ones that have a spelling in RFC 3339.
    let (days, micros) = (-719_528..2_932_896, -62_167_219_200_000_000..253_402_300_799_999_999_i64);
    (
        (of(any::<bool>()), of(bytes), of(days), of(f32::NORMAL | f32::ZERO), of(f64::NORMAL | f64::ZERO)),
        (of(any::<i32>()), of(any::<i64>()), of(any::<String>()), of(micros)),
    )
}

fn to_rows(rows: &[Row]) -> RecordBatch {
    let timestamps = rows.iter().map(|row| row.1.3).collect::<TimestampMicrosecondArray>();
    let columns: [ArrayRef; 9] = [
        Arc::new(rows.iter().map(|row| row.0.0).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.0.1.clone()).collect::<BinaryArray>()),
        Arc::new(rows.iter().map(|row| row.0.2).collect::<Date32Array>()),
        Arc::new(rows.iter().map(|row| row.0.3).collect::<Float32Array>()),
        Arc::new(rows.iter().map(|row| row.0.4).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.1.0).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| row.1.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1.2.clone()).collect::<StringArray>()),
        Arc::new(timestamps.with_timezone("+00:00")),
    ];
    let named = COLUMNS.iter().zip(columns).map(|((name, _), column)| (*name, column, true));
    RecordBatch::try_from_iter_with_nullable(named).unwrap()
}

#[test]
fn what_was_written_is_read_back() {
    let mut count = 0;
    let counted = std::cell::RefCell::new(&mut count);
    let config = Config { source_file: Some(file!()), ..Config::with_cases(200) };
    let outcome = TestRunner::new(config).run(&proptest::collection::vec(row(), 1..10), |rows| {
        let input = to_rows(&rows);
        let encoded = encode(chunk(input.clone()), OnError::Fail).unwrap().rows.remove(0);
        for value in values(&encoded) {
            let object: serde_json::Value = serde_json::from_str(&value).unwrap();
            prop_assert!(object.as_object().unwrap().values().all(|value| !value.is_null()), "{}", value);
        }
        let back = decode(encoded, OnError::Fail).unwrap().rows.remove(0);
        prop_assert_eq!(&back.rows, &input);
        **counted.borrow_mut() += rows.len();
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{count} rows, each equal after a round trip");
}

#[test]
fn a_message_is_exactly_one_object() {
    let bad = [
        "",
        "  ",
        "null",
        "7",
        "\"{}\"",
        "[{}]",
        "{}{}",
        "{} {}",
        "{}\n{}",
        "{},",
        "{",
        "{\"int32\":1",
        "{\"int32\":}",
        "{\"int32\" 1}",
        "{\"int32\":1,}",
        "{\"int32\":1 \"int64\":2}",
        "{,}",
        "{\"string\":\"\n\"}",
        "{'int32':1}",
        "{\"other\":[1,}",
        "{\"string\":\"\\ud800\"}",
    ];
    let mixed: Vec<_> = bad.iter().flat_map(|bad| [Some("{\"int32\":1}"), Some(*bad)]).collect();
    let applied = decode(messages(&mixed), OnError::DeadLetter).unwrap();
    let letters = letters(&applied);
    let raw: Vec<_> = letters.iter().map(|(_, _, raw)| raw.clone().unwrap()).collect();
    assert_eq!(raw, bad);
    let positions: Vec<_> = letters.iter().map(|(position, _, _)| *position).collect();
    assert_eq!(positions, (0..bad.len() as u64).map(|row| 1002 + 4 * row).collect::<Vec<_>>());
    let good = &applied.rows[0];
    assert_eq!(good.positions.values(), &(0..bad.len() as u64).map(|row| 1000 + 4 * row).collect::<Vec<_>>()[..]);
    println!("{} ways not to be one object", bad.len());
}

#[test]
fn a_value_that_its_column_cannot_hold_is_an_error() {
    let bad = [
        r#"{"int32":1.5}"#,
        r#"{"int32":2147483648}"#,
        r#"{"int32":"1.5"}"#,
        r#"{"int32":"x"}"#,
        r#"{"int32":true}"#,
        r#"{"int32":{}}"#,
        r#"{"int64":9223372036854775808}"#,
        r#"{"int64":9007199254740993.0}"#,
        r#"{"int64":1e300}"#,
        r#"{"float64":1e999}"#,
        r#"{"float64":"1e999"}"#,
        r#"{"float64":"NaN"}"#,
        r#"{"float32":1e39}"#,
        r#"{"bool":1}"#,
        r#"{"bool":"yes"}"#,
        r#"{"string":7}"#,
        r#"{"string":["x"]}"#,
        r#"{"bytes":"0"}"#,
        r#"{"bytes":"zz"}"#,
        r#"{"date":"2001-02-29"}"#,
        r#"{"date":"yesterday"}"#,
        r#"{"date":0.5}"#,
        r#"{"timestamp":"2001-02-29T00:00:00Z"}"#,
        r#"{"timestamp":0.5}"#,
        r#"{"timestamp":true}"#,
    ];
    let applied = decode(messages(&bad.map(Some)), OnError::DeadLetter).unwrap();
    let raw: Vec<_> = letters(&applied).into_iter().map(|(_, _, raw)| raw.unwrap()).collect();
    assert_eq!(raw, bad);
    assert!(applied.rows.is_empty());
    println!("{} values that do not fit", bad.len());
}

#[test]
fn a_value_may_be_spelled_in_several_ways() {
    let good = [
        (r#" {"int32": 7} "#, r#"{"int32":7}"#),
        (r#"{"int32":7.0,"int64":"-12"}"#, r#"{"int32":7,"int64":-12}"#),
        (r#"{"int32":1,"int32":2,"extra":[{"int32":3}]}"#, r#"{"int32":2}"#),
        (r#"{"float64":1,"string":null}"#, r#"{"float64":1.0}"#),
        (r#"{"timestamp":"2000-01-01T01:00:00+01:00"}"#, r#"{"timestamp":"2000-01-01T00:00:00Z"}"#),
        (r#"{"timestamp":1000000,"date":"1999-12-31"}"#, r#"{"date":"1999-12-31","timestamp":"1970-01-01T00:00:01Z"}"#),
        (r#"{"string":"\u00e9\ud83d\ude00\n"}"#, "{\"string\":\"é😀\\n\"}"),
        ("{}", "{}"),
    ];
    let applied = decode(messages(&good.map(|(read, _)| Some(read))), OnError::Fail).unwrap();
    let written = encode(applied.rows[0].clone(), OnError::Fail).unwrap();
    assert_eq!(values(&written.rows[0]), good.map(|(_, written)| written));
}

#[test]
fn a_bad_row_is_named_skipped_or_put_aside() {
    let rows = || messages(&[Some("{\"int32\":1}"), Some("{\"int32\":0.5}"), None, Some("{}{}"), Some("{}")]);
    let error = decode(rows(), OnError::Fail).unwrap_err();
    let Error::Row { stage: "decode.json", partition: 3, position, reason } = &error else { panic!("{error}") };
    assert_eq!(position.0, 1002);
    assert!(reason.contains("int32") && reason.contains("0.5"), "{reason}");

    let applied = decode(rows(), OnError::Skip).unwrap();
    assert_eq!((applied.skipped, applied.rows[0].positions.values().to_vec()), (3, vec![1000, 1008]));

    let applied = decode(rows(), OnError::DeadLetter).unwrap();
    let letters = letters(&applied);
    let raw: Vec<_> = letters.iter().map(|(position, _, raw)| (*position, raw.as_deref())).collect();
    assert_eq!(raw, [(1002, Some("{\"int32\":0.5}")), (1004, None), (1006, Some("{}{}"))]);
    assert_eq!(applied.rows[0].rows.column_by_name("int32").unwrap().len(), 2);
}

#[test]
fn a_float_without_a_number_is_an_error() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None, Some(f64::INFINITY)]));
    let rows = || chunk(RecordBatch::try_from_iter_with_nullable([("degrees", Arc::clone(&floats), true)]).unwrap());
    let error = encode(rows(), OnError::Fail).unwrap_err();
    assert!(error.to_string().contains("position 1002: column `degrees` is NaN, which JSON cannot hold"), "{error}");
    let applied = encode(rows(), OnError::DeadLetter).unwrap();
    assert_eq!(values(&applied.rows[0]), [r#"{"degrees":1.5}"#, "{}"]);
    let reasons: Vec<_> = letters(&applied).into_iter().map(|(position, reason, _)| (position, reason)).collect();
    let reason = |value: &str| format!("column `degrees` is {value}, which JSON cannot hold");
    assert_eq!(reasons, [(1002, reason("NaN")), (1006, reason("inf"))]);
    assert_eq!(encode(rows(), OnError::Skip).unwrap().skipped, 2);
}

#[test]
fn a_message_is_never_put_over_a_column() {
    let config = EncodeConfig::Json(encode::json::JsonConfig { on_error: OnError::Fail });
    let problems = config.build(&messages(&[]).columns(), &Context { dir: PathBuf::new() }).err().unwrap();
    assert_eq!(problems[0].message, "the input has a column `value` already, where the message would go");
    let config = DecodeConfig::Json(decode::json::JsonConfig { columns: [].into(), on_error: OnError::Fail });
    let problems = config.build(&messages(&[]).columns(), &Context { dir: PathBuf::new() }).err().unwrap();
    assert_eq!((problems[0].at.join("."), problems.len()), ("columns".into(), 1));
}
