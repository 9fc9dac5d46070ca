//! Every row becomes the bytes that prost writes for the same message.

use super::*;
use arrow::array::AsArray;
use operators_core::error::Error;
use prost::Message;

fn schema(rows: &RecordBatch) -> Schema {
    Schema::from_arrow(rows.schema())
}

fn values(chunk: &Chunk) -> BinaryArray {
    chunk.rows.column_by_name("value").unwrap().as_binary().clone()
}

/// The one value where this encoder and prost part: prost leaves out -0.0 as if it were 0.0.
fn without_negative_zero(message: &mut Scalars) {
    message.double += 0.0;
    message.float += 0.0;
}

#[test]
fn writes_what_prost_writes_and_reads_it_back() {
    let (mut rows, mut bytes) = (0, 0);
    let built = encoder(&schema(&Scalars::to_rows(&[])), OnError::Fail).unwrap();
    let (mut encoder, mut decoder) = (built.stage.handle(), decoder("test.Scalars", OnError::Fail).stage.handle());
    check(file!(), 600, &proptest::collection::vec(message(), 1..12), |mut expected| {
        expected.iter_mut().for_each(without_negative_zero);
        let input = Scalars::to_rows(&expected);
        let encoded = encoder.apply(chunk(input)).unwrap().rows.remove(0);
        assert_eq!(Schema::from_arrow(encoded.rows.schema()), built.schema);
        for (message, expected) in values(&encoded).iter().zip(&expected) {
            assert_eq!(message.unwrap(), expected.encode_to_vec(), "{expected:?}");
            bytes += message.unwrap().len();
        }
        let back = decoder.apply(encoded).unwrap();
        for (row, (position, message)) in decoded(&back).into_iter().enumerate() {
            assert_eq!(position, 1000 + 2 * row as u64);
            assert_eq!(format!("{message:?}"), format!("{:?}", expected[row]));
        }
        rows += expected.len();
    });
    println!("{rows} messages, {bytes} bytes, all as prost writes them");
}

#[test]
fn zero_keeps_its_sign() {
    let message = Scalars { double: -0.0, float: -0.0, ..Scalars::default() };
    let input = Scalars::to_rows(&[message]);
    let encoded = encoder(&schema(&input), OnError::Fail).unwrap().stage.handle().apply(chunk(input)).unwrap();
    let back = decoder("test.Scalars", OnError::Fail).stage.handle().apply(encoded.rows[0].clone()).unwrap();
    let message = &decoded(&back)[0].1;
    assert!(message.double.is_sign_negative() && message.float.is_sign_negative());
}

/// `Scalars` with nulls in two fields that cannot be null, at rows 1, 2 and 4.
fn with_nulls() -> RecordBatch {
    let messages: Vec<_> = (0..5).map(|int32| Scalars { int32, ..Scalars::default() }).collect();
    let rows = Scalars::to_rows(&messages);
    let fields = rows.schema();
    let columns = fields.fields().iter().zip(rows.columns()).map(|(field, column)| {
        let column: ArrayRef = match field.name().as_str() {
            "int32" => Arc::new(Int32Array::from(vec![Some(0), None, Some(2), Some(3), None])),
            "string" => Arc::new(StringArray::from(vec![Some(""), None, None, Some("x"), Some("y")])),
            _ => Arc::clone(column),
        };
        (field.name().clone(), column, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_null_that_the_message_cannot_hold_is_an_error() {
    let input = with_nulls();
    let apply = |on_error| encoder(&schema(&input), on_error).unwrap().stage.handle().apply(chunk(input.clone()));

    let error = apply(OnError::Fail).unwrap_err();
    let Error::Row { stage: "encode.protobuf", partition: 3, position, reason } = &error else { panic!("{error}") };
    assert_eq!((position.0, reason.as_str()), (1002, "field `int32` of test.Scalars cannot be null"));

    let skipped = apply(OnError::Skip).unwrap();
    assert_eq!((skipped.skipped, skipped.rows[0].positions.values().to_vec()), (3, vec![1000, 1006]));

    let applied = apply(OnError::DeadLetter).unwrap();
    assert_eq!(applied.rows[0].rows, skipped.rows[0].rows);
    let letters = rejected(&applied);
    let told: Vec<_> = letters.iter().map(|(position, reason, _)| (*position, reason.as_str())).collect();
    let null = |field: &str| format!("field `{field}` of test.Scalars cannot be null");
    assert_eq!(told, [(1002, &*null("int32")), (1004, &*null("string")), (1008, &*null("int32"))]);
    let raw: serde_json::Value = serde_json::from_slice(letters[1].2.as_ref().unwrap()).unwrap();
    assert_eq!((raw["int32"].as_i64(), raw.get("string")), (Some(2), None));
}

#[test]
fn other_columns_stay_beside_the_message() {
    let messages = [Scalars { string: "a".into(), ..Scalars::default() }];
    let rows = Scalars::to_rows(&messages);
    let mut columns: Vec<(String, ArrayRef)> = vec![("id".into(), Arc::new(Int64Array::from(vec![42])))];
    let schema_of_rows = rows.schema();
    columns.extend(schema_of_rows.fields().iter().map(|f| f.name().clone()).zip(rows.columns().iter().cloned()));
    let input = RecordBatch::try_from_iter(columns).unwrap();
    let applied = encoder(&schema(&input), OnError::Fail).unwrap().stage.handle().apply(chunk(input)).unwrap();
    let encoded = &applied.rows[0];
    assert_eq!(encoded.rows.schema().field(0).name(), "id");
    assert_eq!(values(encoded).value(0), messages[0].encode_to_vec());
}

#[test]
fn a_slice_of_rows_is_written_from_its_own_start() {
    let all: Vec<_> = (0..9)
        .map(|row| Scalars { int32: row, bool: row % 2 == 0, string: row.to_string(), ..Scalars::default() })
        .collect();
    let part = Scalars::to_rows(&all).slice(4, 3);
    let applied = encoder(&schema(&part), OnError::Fail).unwrap().stage.handle().apply(chunk(part)).unwrap();
    let written: Vec<_> = values(&applied.rows[0]).iter().map(|bytes| bytes.unwrap().to_vec()).collect();
    assert_eq!(written, all[4..7].iter().map(Message::encode_to_vec).collect::<Vec<_>>());
}

#[test]
fn every_unfit_column_is_a_problem_of_its_own() {
    let rows = Scalars::to_rows(&[Scalars::default()]);
    let mut columns = Schema::from_arrow(rows.schema()).columns().to_vec();
    columns.retain(|column| column.name != "sky");
    for column in &mut columns {
        if column.name == "double" {
            column.column_type = ColumnType::String;
        }
    }
    columns.push(Column::new("value", ColumnType::Bytes, true));
    let problems = encoder(&Schema::new(columns), OnError::Fail).err().unwrap();
    let told: Vec<_> = problems.iter().map(|problem| (problem.at.join("."), problem.message.as_str())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(
        told[0],
        (
            "message".into(),
            "field `double` of `test.Scalars` is double and needs a column of float64, but column `double` is string"
        )
    );
    assert!(told[1].1.starts_with("field `sky` of `test.Scalars` has no column; the input has "), "{told:?}");
    assert!(told[2].1.starts_with("the input has a column `value` already"), "{told:?}");
    assert!(problems.iter().all(|problem| problem.help.is_some()));
}
