use super::TransformConfig;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Float32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Problem, Result};
use operators_core::position::Position;
use operators_core::schema::Schema;
use operators_core::stage::{Applied, BuiltStage};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// The first position of every chunk here; rows are told by `position - FIRST`.
const FIRST: u64 = 100;

/// A chunk with one column `x`, which may hold nulls.
fn chunk(values: impl Array + 'static) -> Chunk {
    let values: ArrayRef = Arc::new(values);
    chunk_of(vec![("x", values)])
}

fn chunk_of(columns: Vec<(&str, ArrayRef)>) -> Chunk {
    let columns = columns.into_iter().map(|(name, values)| (name, values, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    Chunk::new(3, UInt64Array::from_iter_values(FIRST..FIRST + rows.num_rows() as u64), rows)
}

fn build(config: &Value, chunk: &Chunk) -> Result<BuiltStage, Vec<Problem>> {
    let config: TransformConfig = serde_json::from_value(config.clone()).unwrap();
    config.build(&Schema::from_arrow(chunk.rows.schema()))
}

fn apply(config: &Value, chunk: Chunk) -> Result<Applied> {
    let built = build(config, &chunk).unwrap();
    let applied = built.stage.handle().apply(chunk)?;
    assert!(applied.rows.iter().all(|chunk| chunk.rows.schema() == *built.schema.arrow()), "{config}");
    Ok(applied)
}

/// The rows a filter keeps, by their number in the chunk; checks that all others are counted.
fn kept(tests: &Value, chunk: Chunk) -> Vec<u64> {
    let mut filter = tests.clone();
    filter["column"] = json!("x");
    let rows = chunk.len();
    let applied = apply(&json!({ "filter": filter }), chunk).unwrap();
    assert!(applied.rows.len() <= 1 && applied.rows.iter().all(|chunk| !chunk.is_empty()));
    let kept: Vec<_> =
        applied.rows.iter().flat_map(|chunk| chunk.positions.values().iter().map(|p| p - FIRST)).collect();
    assert_eq!(kept.len() as u64 + applied.filtered, rows, "{tests}");
    kept
}

/// Where each problem is, and its text.
fn problems(config: &Value, chunk: &Chunk) -> Vec<(String, String)> {
    let Err(problems) = build(config, chunk) else { panic!("{config} was accepted") };
    problems.into_iter().map(|p| (p.at.join("."), format!("{}: {}", p.message, p.help.unwrap_or_default()))).collect()
}

#[test]
fn filter_compares_every_type() {
    let ints = || chunk(Int32Array::from(vec![Some(-1), None, Some(0), Some(7)]));
    let doubles = || chunk(Float64Array::from(vec![Some(-1.5), None, Some(0.0), Some(7.25)]));
    let texts = || chunk(StringArray::from(vec![Some("a"), None, Some("b"), Some("ba")]));
    let days = || chunk(Date32Array::from(vec![Some(-1), None, Some(0), Some(365)]));
    let bools = || chunk(BooleanArray::from(vec![Some(false), None, Some(true), Some(true)]));
    type Case<'a> = (&'a dyn Fn() -> Chunk, Value, &'a [u64]);
    let cases: [Case<'_>; 21] = [
        (&ints, json!({ "eq": 0 }), &[2]),
        (&ints, json!({ "ne": 0 }), &[0, 3]),
        (&ints, json!({ "lt": 0 }), &[0]),
        (&ints, json!({ "le": 0 }), &[0, 2]),
        (&ints, json!({ "gt": 0 }), &[3]),
        (&ints, json!({ "ge": 0 }), &[2, 3]),
        (&ints, json!({ "ge": 0, "lt": 7 }), &[2]),
        (&ints, json!({ "ge": 0, "lt": 0 }), &[]),
        (&ints, json!({ "is_null": true }), &[1]),
        (&ints, json!({ "is_null": false }), &[0, 2, 3]),
        (&ints, json!({ "is_null": false, "ne": 7 }), &[0, 2]),
        (&doubles, json!({ "ge": 0 }), &[2, 3]),
        (&doubles, json!({ "gt": 0.5 }), &[3]),
        (&doubles, json!({ "eq": -1.5 }), &[0]),
        (&texts, json!({ "ge": "b" }), &[2, 3]),
        (&texts, json!({ "eq": "ba" }), &[3]),
        (&days, json!({ "lt": "1970-01-01" }), &[0]),
        (&days, json!({ "ge": "1970-01-01", "le": "1971-01-01" }), &[2, 3]),
        (&days, json!({ "gt": "1971-01-01" }), &[]),
        (&bools, json!({ "eq": true }), &[2, 3]),
        (&bools, json!({ "ne": true }), &[0]),
    ];
    for (chunk, tests, expected) in &cases {
        assert_eq!(kept(tests, chunk()), *expected, "{tests}");
    }
    println!("{} filters", cases.len());
}

#[test]
fn filter_compares_floats_as_numbers() {
    let doubles = || chunk(Float64Array::from(vec![f64::NAN, -f64::NAN, -0.0, 0.0, f64::INFINITY]));
    for (tests, expected) in [
        (json!({ "eq": 0 }), vec![2, 3]),
        (json!({ "lt": 0 }), vec![]),
        (json!({ "gt": 0 }), vec![4]),
        (json!({ "ge": -0.0 }), vec![2, 3, 4]),
        (json!({ "ne": 0 }), vec![0, 1, 4]),
    ] {
        assert_eq!(kept(&tests, doubles()), expected, "{tests}");
    }
    let floats = chunk(Float32Array::from(vec![0.1, 0.2]));
    assert_eq!(kept(&json!({ "eq": 0.1 }), floats), [0], "the literal has the column's precision");
}

#[test]
fn filter_reads_text_by_the_type_of_the_column() {
    let ints = chunk(Int32Array::from(vec![1, 2]));
    assert_eq!(kept(&json!({ "eq": "2" }), ints), [1]);
    let doubles = chunk(Float64Array::from(vec![0.5, 2.0]));
    assert_eq!(kept(&json!({ "lt": "0.75" }), doubles), [0]);
    let flags = chunk(BooleanArray::from(vec![true, false]));
    assert_eq!(kept(&json!({ "eq": "false" }), flags), [1]);
    let texts = chunk(StringArray::from(vec!["2", "02"]));
    assert_eq!(kept(&json!({ "eq": "02" }), texts), [1]);
}

#[test]
fn filter_compares_timestamps() {
    let texts = chunk(StringArray::from(vec!["2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00", "2020-06-01"]));
    let times = apply(&json!({ "cast": { "columns": { "x": "timestamp" } } }), texts).unwrap().rows.remove(0);
    assert_eq!(kept(&json!({ "le": "2020-01-01T00:00:00Z" }), times.clone()), [0, 1]);
    assert_eq!(kept(&json!({ "gt": "2020-01-01" }), times), [2]);
}

#[test]
fn filter_refuses_what_does_not_compare() {
    let at = |tests: Value, chunk: &Chunk| {
        let mut filter = tests;
        filter["column"] = json!("x");
        problems(&json!({ "filter": filter }), chunk)
    };
    let ints = chunk(Int32Array::from(vec![1]));
    let found = at(json!({ "eq": "one", "lt": 1.5, "gt": 3_000_000_000_i64, "ge": true, "le": 4 }), &ints);
    assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["eq", "lt", "gt", "ge"]);
    assert!(found.iter().all(|(_, text)| text.contains("the column is int32; write a whole number")), "{found:?}");

    let cases = [
        (chunk(Float32Array::from(vec![1.0])), json!({ "lt": 1e300 }), "lt", "float32"),
        (chunk(Float64Array::from(vec![1.0])), json!({ "lt": "warm" }), "lt", "float64"),
        (chunk(StringArray::from(vec!["1"])), json!({ "eq": 1 }), "eq", "string"),
        (chunk(BooleanArray::from(vec![true])), json!({ "eq": 1 }), "eq", "bool"),
        (chunk(Date32Array::from(vec![1])), json!({ "eq": "2021-02-29" }), "eq", "date"),
        (chunk(BinaryArray::from(vec![b"1".as_slice()])), json!({ "eq": "1" }), "eq", "bytes"),
        (chunk(UInt64Array::from(vec![1])), json!({ "eq": -1 }), "eq", "uint64"),
    ];
    for (chunk, tests, key, name) in &cases {
        let found = at(tests.clone(), chunk);
        assert!(matches!(&found[..], [(k, text)] if k == key && text.contains(name)), "{tests}: {found:?}");
    }

    let found = at(json!({}), &ints);
    assert!(matches!(&found[..], [(at, text)] if at.is_empty() && text.contains("is_null")), "{found:?}");
    let found = problems(&json!({ "filter": { "column": "y", "eq": 1 } }), &ints);
    assert!(matches!(&found[..], [(at, text)] if at == "column" && text.ends_with("the columns are: x")), "{found:?}");
    assert_eq!(problems(&json!({ "filter": { "column": "y" } }), &ints).len(), 2);
    println!("{} literals refused", cases.len() + 4);
}

proptest! {
    /// Whatever the values and the bounds, a filter keeps the rows that a loop over them would.
    #[test]
    fn filter_is_a_loop(values: Vec<Option<i64>>, ge: i64, lt: i64) {
        let expected: Vec<u64> = (0..)
            .zip(&values)
            .filter(|(_, value)| value.is_some_and(|value| ge <= value && value < lt))
            .map(|(row, _)| row)
            .collect();
        prop_assume!(!values.is_empty());
        prop_assert_eq!(kept(&json!({ "ge": ge, "lt": lt }), chunk(Int64Array::from(values))), expected);
    }
}

fn three_columns() -> Chunk {
    let column = |values: [i64; 2]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    chunk_of(vec![("a", column([1, 2])), ("b", column([3, 4])), ("c", column([5, 6]))])
}

#[test]
fn select_orders_and_renames() {
    let config = json!({ "select": { "columns": ["c", "a"], "rename": { "c": "a", "a": "c" } } });
    let applied = apply(&config, three_columns()).unwrap();
    let chunk = &applied.rows[0];
    assert_eq!(Schema::from_arrow(chunk.rows.schema()).to_string(), "a: int64?, c: int64?");
    assert_eq!(chunk.rows.column(0).as_primitive::<Int64Type>().values(), &[5, 6]);
    assert_eq!(chunk.positions.values(), &[FIRST, FIRST + 1]);
    assert_eq!(build(&config, &three_columns()).unwrap().about.summary, "c as a, a as c");
}

#[test]
fn select_names_each_problem() {
    let at = |columns: Value, rename: Value| {
        problems(&json!({ "select": { "columns": columns, "rename": rename } }), &three_columns())
    };
    let cases = [
        (json!([]), json!({}), "columns", "some of: a, b, c"),
        (json!(["a", "d"]), json!({}), "columns.1", "`d`"),
        (json!(["a", "b", "a"]), json!({}), "columns.2", "twice"),
        (json!(["a"]), json!({ "b": "x" }), "rename.b", "not kept"),
        (json!(["a", "b"]), json!({ "b": "a" }), "rename.b", "both `a` and `b` would be called `a`"),
        (json!(["a", "b"]), json!({ "a": "b" }), "rename.a", "both `a` and `b` would be called `b`"),
        (json!(["a"]), json!({ "a": "" }), "rename.a", "empty"),
    ];
    for (columns, rename, key, text) in &cases {
        let found = at(columns.clone(), rename.clone());
        assert!(matches!(&found[..], [(k, t)] if k == key && t.contains(text)), "{columns} {rename}: {found:?}");
    }
    let all = at(json!(["d", "a", "a"]), json!({ "b": "x", "a": "" }));
    assert_eq!(all.len(), 4, "{all:?}");
    println!("{} wrong selections", cases.len() + 1);
}

#[test]
fn cast_changes_types_and_keeps_nulls() {
    let cast = |to: &str, chunk: Chunk| {
        let applied = apply(&json!({ "cast": { "columns": { "x": to } } }), chunk).unwrap();
        Arc::clone(applied.rows[0].rows.column(0))
    };
    let ints = cast("int32", chunk(StringArray::from(vec![Some("1"), None, Some("-7")])));
    assert_eq!(ints.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(1), None, Some(-7)]));
    let floats = cast("float32", chunk(Float64Array::from(vec![Some(0.5), None, Some(f64::INFINITY)])));
    assert_eq!(floats.as_primitive::<Float32Type>(), &Float32Array::from(vec![Some(0.5), None, Some(f32::INFINITY)]));
    let days = cast("date", chunk(StringArray::from(vec!["1970-01-02"])));
    assert_eq!(days.as_ref(), &Date32Array::from(vec![1]));
    let times = cast("timestamp", chunk(StringArray::from(vec!["1970-01-01T01:00:00.000001+01:00"])));
    assert_eq!(times.as_primitive::<TimestampMicrosecondType>().values(), &[1]);
    let texts = cast("string", chunk(BinaryArray::from(vec![Some("ç".as_bytes()), None])));
    assert_eq!(texts.as_string::<i32>(), &StringArray::from(vec![Some("ç"), None]));
}

#[test]
fn cast_never_makes_a_value_null() {
    let cases: [(Chunk, &str, u64, &str); 9] = [
        (chunk(StringArray::from(vec![Some("1"), None, Some("ab")])), "int64", 2, "`ab`"),
        (chunk(StringArray::from(vec!["1.5"])), "int32", 0, "`1.5`"),
        (chunk(StringArray::from(vec!["2020-02-29", "2021-02-29"])), "date", 1, "`2021-02-29`"),
        (chunk(StringArray::from(vec!["true", "perhaps"])), "bool", 1, "`perhaps`"),
        (chunk(Int64Array::from(vec![None, Some(3_000_000_000)])), "int32", 1, "`3000000000`"),
        (chunk(Float64Array::from(vec![1.0, f64::NAN])), "int64", 1, "`NaN`"),
        (chunk(Float64Array::from(vec![1.0, 1e300])), "float32", 1, "`1e300`"),
        (chunk(UInt64Array::from(vec![1, u64::MAX])), "int64", 1, "`18446744073709551615`"),
        (chunk(BinaryArray::from(vec![b"a".as_slice(), b"\xff"])), "string", 1, "`ff`"),
    ];
    for (chunk, to, row, value) in &cases {
        let error = apply(&json!({ "cast": { "columns": { "x": to } } }), chunk.clone()).unwrap_err();
        let text = error.to_string();
        let Error::Value { partition: 3, position, .. } = error else { panic!("{text}") };
        assert_eq!(position, Position(FIRST + row), "{text}");
        assert!(
            ["transform.cast", "partition 3", "column `x`", value, to].iter().all(|part| text.contains(part)),
            "{text}"
        );
    }
    println!("{} values refused", cases.len());
}

#[test]
fn cast_names_each_problem() {
    let config = json!({ "cast": { "columns": { "a": "bytes", "b": "date", "c": "bytes", "d": "int32" } } });
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("a", Arc::new(Float64Array::from(vec![1.0]))),
        ("b", Arc::new(BooleanArray::from(vec![true]))),
        ("c", Arc::new(Int64Array::from(vec![1]))),
    ];
    let found = problems(&config, &chunk_of(columns));
    let keys: Vec<_> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["columns.a", "columns.b", "columns.c", "columns.d"]);
    assert!(found[0].1.contains("`a` is float64, which cannot become bytes"), "{found:?}");
    assert!(found[3].1.contains("the columns are: a, b, c"), "{found:?}");
    assert_eq!(problems(&json!({ "cast": { "columns": {} } }), &three_columns())[0].0, "columns");
}

#[test]
fn cast_leaves_other_columns_alone() {
    let applied = apply(&json!({ "cast": { "columns": { "b": "string" } } }), three_columns()).unwrap();
    let rows = &applied.rows[0].rows;
    assert_eq!(Schema::from_arrow(rows.schema()).to_string(), "a: int64?, b: string?, c: int64?");
    assert_eq!(rows.column(1).data_type(), &DataType::Utf8);
}
