use super::PartitionConfig;
use crate::murmur2;
use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use operators_core::chunk::Chunk;
use operators_core::error::Problem;
use operators_core::schema::Schema;
use operators_core::stage::{Apply, BuiltStage};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn chunk(columns: Vec<(&str, ArrayRef)>) -> Chunk {
    let columns = columns.into_iter().map(|(name, values)| (name, values, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    Chunk::new(3, UInt64Array::from_iter_values(0..rows.num_rows() as u64), rows)
}

fn texts(values: Vec<Option<String>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn bytes(values: Vec<Option<&[u8]>>) -> ArrayRef {
    Arc::new(BinaryArray::from(values))
}

fn build(config: &Value, chunk: &Chunk) -> Result<BuiltStage, Vec<Problem>> {
    let config: PartitionConfig = serde_json::from_value(config.clone()).unwrap();
    config.build(&Schema::from_arrow(chunk.rows.schema()))
}

fn problems(config: &Value, chunk: &Chunk) -> Vec<(String, String)> {
    let Err(problems) = build(config, chunk) else { panic!("{config} was accepted") };
    problems.into_iter().map(|p| (p.at.join("."), format!("{}: {}", p.message, p.help.unwrap_or_default()))).collect()
}

/// The partition of each row, by position; checks that no row is lost or doubled, and that none overtakes another.
fn spread(handle: &mut dyn Apply, chunk: Chunk) -> Vec<u32> {
    let rows = chunk.len();
    let applied = handle.apply(chunk).unwrap();
    assert_eq!((applied.filtered, applied.skipped, applied.dead_letters), (0, 0, None));
    let mut partitions = BTreeMap::new();
    for part in &applied.rows {
        assert!(!part.is_empty() && part.source == 3);
        let positions = part.positions.values();
        assert!(positions.is_sorted(), "partition {}: {positions:?}", part.partition);
        for position in positions {
            assert_eq!(partitions.insert(*position, part.partition), None, "row {position} is there twice");
        }
    }
    assert!(partitions.keys().copied().eq(0..rows), "{partitions:?}");
    let mut targets: Vec<_> = applied.rows.iter().map(|part| part.partition).collect();
    targets.dedup();
    assert_eq!(targets.len(), applied.rows.len(), "one chunk per partition");
    partitions.into_values().collect()
}

proptest! {
    /// Every row goes to the partition its key's hash says, so equal keys meet; null keys take turns; the values of a
    /// row and its key stay together.
    #[test]
    fn keys_go_where_kafka_puts_them(keys: Vec<Option<String>>, partitions in 1u32..20) {
        let rows = keys.len() as i64;
        let number: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let chunk = chunk(vec![("name", texts(keys.clone())), ("number", number)]);
        let config = json!({ "key": { "column": "name", "partitions": partitions } });
        let built = build(&config, &chunk).unwrap();
        prop_assert_eq!(built.partitions, Some(partitions));

        let mut turns = (0..partitions).cycle();
        let expected: Vec<u32> = keys
            .iter()
            .map(|key| key.as_ref().map_or_else(|| turns.next().unwrap(), |k| murmur2::partition(k.as_bytes(), partitions)))
            .collect();
        prop_assert_eq!(spread(&mut *built.stage.handle(), chunk.clone()), expected);

        for part in built.stage.handle().apply(chunk).unwrap().rows {
            prop_assert_eq!(Schema::from_arrow(part.rows.schema()), built.schema.clone());
            let key = part.rows.column_by_name("key").unwrap().as_binary::<i32>();
            let number = part.rows.column_by_name("number").unwrap();
            for (key, number) in key.iter().zip(number.as_primitive::<arrow::datatypes::Int64Type>().values()) {
                prop_assert_eq!(key, keys[*number as usize].as_ref().map(String::as_bytes));
            }
        }
    }

    /// Over any number of chunks the turns go on, so that no partition has two rows more than another.
    #[test]
    fn round_robin_is_even(sizes in proptest::collection::vec(1usize..50, 1..10), partitions in 1u32..20) {
        let config = json!({ "round_robin": { "partitions": partitions } });
        let rows = |size| chunk(vec![("x", texts(vec![None; size]))]);
        let built = build(&config, &rows(1)).unwrap();
        prop_assert_eq!(built.partitions, Some(partitions));
        let mut handle = built.stage.handle();
        let given: Vec<u32> = sizes.iter().flat_map(|&size| spread(&mut *handle, rows(size))).collect();
        let expected: Vec<u32> = (0..partitions).cycle().take(given.len()).collect();
        prop_assert_eq!(given, expected);
    }
}

#[test]
fn bytes_and_text_of_one_key_meet() {
    let keys: Vec<String> = (0..1000).map(|i| format!("station-{i}")).collect();
    let config = json!({ "key": { "column": "x", "partitions": 7 } });
    let as_text = chunk(vec![("x", texts(keys.iter().cloned().map(Some).collect()))]);
    let as_bytes = chunk(vec![("x", bytes(keys.iter().map(|key| Some(key.as_bytes())).collect()))]);
    let partitions = spread(&mut *build(&config, &as_text).unwrap().stage.handle(), as_text);
    assert_eq!(partitions, spread(&mut *build(&config, &as_bytes).unwrap().stage.handle(), as_bytes));
    let counts = (0..7).map(|partition| partitions.iter().filter(|p| **p == partition).count());
    assert!(counts.clone().all(|count| (90..200).contains(&count)), "{:?}", counts.collect::<Vec<_>>());
    println!("1000 keys in 7 partitions");
}

#[test]
fn a_key_of_bytes_stays_as_it_is() {
    let chunk = chunk(vec![("key", bytes(vec![Some(b"a"), None, Some(b"\xff")]))]);
    let built = build(&json!({ "key": { "column": "key", "partitions": 1 } }), &chunk).unwrap();
    assert_eq!(built.schema, Schema::from_arrow(chunk.rows.schema()));
    let applied = built.stage.handle().apply(chunk.clone()).unwrap();
    assert_eq!(applied.rows, [Chunk { partition: 0, ..chunk }]);
}

#[test]
fn a_key_that_is_never_null_says_so() {
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let rows = RecordBatch::try_from_iter_with_nullable([("name", names, false)]).unwrap();
    let chunk = Chunk::new(0, UInt64Array::from(vec![0]), rows);
    let built = build(&json!({ "key": { "column": "name", "partitions": 2 } }), &chunk).unwrap();
    assert_eq!(built.schema.to_string(), "name: string, key: bytes");
    assert_eq!(built.about.summary, "by the hash of name over 2 partitions");
    let fingerprint = [("column", "name".to_owned()), ("partitions", "2".to_owned())];
    assert_eq!(built.about.fingerprint, fingerprint);
}

#[test]
fn source_changes_nothing() {
    let chunk = chunk(vec![("x", texts(vec![None, Some("a".to_owned())]))]);
    let built = build(&json!({ "source": {} }), &chunk).unwrap();
    assert_eq!((built.partitions, &built.schema), (None, &Schema::from_arrow(chunk.rows.schema())));
    assert_eq!(built.stage.handle().apply(chunk.clone()).unwrap().rows, [chunk]);
}

#[test]
fn wrong_configs_are_named_key_by_key() {
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let text = || texts(vec![None]);
    let chunk = chunk(vec![("n", number), ("key", text()), ("x", text())]);
    let cases = [
        (json!({ "round_robin": { "partitions": 0 } }), "partitions", "from 1 to"),
        (json!({ "round_robin": { "partitions": 4_000_000_000_u32 } }), "partitions", "from 1 to"),
        (json!({ "key": { "column": "x1", "partitions": 4 } }), "column", "the columns are: n, key, x"),
        (json!({ "key": { "column": "n", "partitions": 4 } }), "column", "transform.cast"),
        (json!({ "key": { "column": "x", "partitions": 4 } }), "column", "a name taken"),
        (json!({ "key": { "column": "key", "partitions": 4 } }), "column", "bytes"),
    ];
    for (config, key, text) in &cases {
        let found = problems(config, &chunk);
        assert!(matches!(&found[..], [(k, t)] if k == key && t.contains(text)), "{config}: {found:?}");
    }
    let both = problems(&json!({ "key": { "column": "n", "partitions": 0 } }), &chunk);
    assert_eq!(both.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["column", "partitions"]);
    println!("{} wrong configs", cases.len() + 1);
}
