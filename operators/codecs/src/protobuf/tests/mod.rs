//! Both directions against prost, which is the judge of what a message is and what it holds.

mod decode;
mod encode;
mod schema;

use crate::decode::DecodeConfig;
use crate::encode::EncodeConfig;
use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::array::{Float32Array, Float64Array, Int32Array, Int64Array, UInt32Array};
use operators_core::chunk::Chunk;
use operators_core::config::{Context, OnError};
use operators_core::error::Problem;
use operators_core::schema::{Column, Schema};
use operators_core::stage::{Applied, BuiltStage};
use operators_core::types::ColumnType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// Declares the twin of `test.Scalars`, and its way to and from columns.
macro_rules! scalars {
    ($($name:ident $tag:tt, $maybe:ident $maybe_tag:tt: [$($kind:tt)*] $type:ty, $array:ty;)*) => {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Scalars {
            $(
                #[prost($($kind)*, tag = $tag)]
                $name: $type,
                #[prost($($kind)*, optional, tag = $maybe_tag)]
                $maybe: Option<$type>,
            )*
        }

        impl Scalars {
            const FIELDS: &[&str] = &[$(stringify!($name), stringify!($maybe)),*];

            fn set(&mut self, field: &str, bits: u64, text: &str) {
                match field {
                    $(
                        stringify!($name) => self.$name = Make::make(bits, text),
                        stringify!($maybe) => self.$maybe = Some(Make::make(bits, text)),
                    )*
                    other => panic!("no field {other}"),
                }
            }

            fn of_row(rows: &RecordBatch, row: usize) -> Self {
                fn column<A: Array + Clone + 'static>(rows: &RecordBatch, name: &str) -> A {
                    rows.column_by_name(name).unwrap().as_any().downcast_ref::<A>().unwrap().clone()
                }
                Self {
                    $(
                        $name: column::<$array>(rows, stringify!($name)).value(row).to_owned(),
                        $maybe: {
                            let column = column::<$array>(rows, stringify!($maybe));
                            column.is_valid(row).then(|| column.value(row).to_owned())
                        },
                    )*
                }
            }

            fn to_rows(messages: &[Self]) -> RecordBatch {
                let columns: Vec<(&str, ArrayRef, bool)> = vec![
                    $(
                        (
                            stringify!($name),
                            Arc::new(messages.iter().map(|m| Some(m.$name.clone())).collect::<$array>()),
                            false,
                        ),
                        (
                            stringify!($maybe),
                            Arc::new(messages.iter().map(|m| m.$maybe.clone()).collect::<$array>()),
                            true,
                        ),
                    )*
                ];
                RecordBatch::try_from_iter_with_nullable(columns).unwrap()
            }
        }
    };
}

scalars! {
    double "1", maybe_double "101": [double] f64, Float64Array;
    float "2", maybe_float "102": [float] f32, Float32Array;
    int32 "3", maybe_int32 "103": [int32] i32, Int32Array;
    int64 "4", maybe_int64 "104": [int64] i64, Int64Array;
    uint32 "5", maybe_uint32 "105": [uint32] u32, UInt32Array;
    uint64 "6", maybe_uint64 "106": [uint64] u64, UInt64Array;
    sint32 "7", maybe_sint32 "107": [sint32] i32, Int32Array;
    sint64 "8", maybe_sint64 "108": [sint64] i64, Int64Array;
    fixed32 "15", maybe_fixed32 "1015": [fixed32] u32, UInt32Array;
    fixed64 "16", maybe_fixed64 "1016": [fixed64] u64, UInt64Array;
    sfixed32 "255", maybe_sfixed32 "1255": [sfixed32] i32, Int32Array;
    sfixed64 "256", maybe_sfixed64 "1256": [sfixed64] i64, Int64Array;
    bool "13", maybe_bool "1013": [bool] bool, BooleanArray;
    sky "2047", maybe_sky "3047": [int32] i32, Int32Array;
    string "2048", maybe_string "3048": [string] String, StringArray;
    bytes "536870911", maybe_bytes "536870910": [bytes = "vec"] Vec<u8>, BinaryArray;
}

/// A value of any type out of a random number and a random text.
trait Make {
    fn make(bits: u64, text: &str) -> Self;
}

macro_rules! make {
    ($($type:ty, $bits:pat, $text:pat => $make:expr;)*) => {
        $(impl Make for $type {
            fn make($bits: u64, $text: &str) -> Self {
                $make
            }
        })*
    };
}

make! {
    f64, bits, _ => f64::from_bits(bits);
    f32, bits, _ => f32::from_bits((bits >> 32) as u32);
    i32, bits, _ => bits as i32;
    i64, bits, _ => bits as i64;
    u32, bits, _ => bits as u32;
    u64, bits, _ => bits;
    bool, bits, _ => bits % 2 == 1;
    String, _, text => text.to_owned();
    Vec<u8>, bits, text => text.bytes().chain(bits.to_le_bytes()).take(bits as usize % 12).collect();
}

/// Messages with some fields set, some to values at the edges of their types.
fn message() -> impl Strategy<Value = Scalars> {
    let edges = [0, 1, 2, u64::MAX, i64::MIN as u64, i32::MAX as u64, i32::MIN as u32 as u64, f64::NAN.to_bits()];
    let bits = prop_oneof![any::<u64>(), proptest::sample::select(edges.to_vec())];
    let text = prop_oneof!["[a-z0-9-]{0,12}", ".{0,6}"];
    let set = (proptest::sample::select(Scalars::FIELDS), bits, text);
    proptest::collection::vec(set, 0..24).prop_map(|sets| {
        let mut message = Scalars::default();
        for (field, bits, text) in sets {
            message.set(field, bits, &text);
        }
        message
    })
}

/// Runs a property on random cases; a failing case is printed, shrunk, and its seed kept beside `file`.
fn check<S: Strategy>(file: &'static str, cases: u32, strategy: &S, mut test: impl FnMut(S::Value))
where
    S::Value: Debug,
{
    let config = Config { source_file: Some(file), ..Config::with_cases(cases) };
    let test = std::cell::RefCell::new(&mut test);
    let outcome = TestRunner::new(config).run(strategy, |case| {
        (test.borrow_mut())(case);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn context() -> Context {
    Context { dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proto") }
}

fn decoder(message: &str, on_error: OnError) -> BuiltStage {
    let config =
        crate::decode::protobuf::ProtobufConfig { schema: "scalars.proto".into(), message: message.into(), on_error };
    let input = Schema::new(vec![Column::new("value", ColumnType::Bytes, true)]);
    DecodeConfig::Protobuf(config).build(&input, &context()).unwrap()
}

fn encoder(input: &Schema, on_error: OnError) -> Result<BuiltStage, Vec<Problem>> {
    let config = crate::encode::protobuf::ProtobufConfig {
        schema: "scalars.proto".into(),
        message: "test.Scalars".into(),
        on_error,
    };
    EncodeConfig::Protobuf(config).build(input, &context())
}

/// A chunk of partition 3 whose row `i` stands at position `1000 + 2 i`.
fn chunk(rows: RecordBatch) -> Chunk {
    let positions = UInt64Array::from_iter_values((0..rows.num_rows() as u64).map(|row| 1000 + 2 * row));
    Chunk::new(3, positions, rows)
}

fn messages<B: AsRef<[u8]>>(messages: &[Option<B>]) -> Chunk {
    let messages: ArrayRef = Arc::new(messages.iter().map(|bytes| bytes.as_ref()).collect::<BinaryArray>());
    chunk(RecordBatch::try_from_iter_with_nullable([("value", messages, true)]).unwrap())
}

/// Positions and messages of the rows that went on.
fn decoded(applied: &Applied) -> Vec<(u64, Scalars)> {
    let mut rows = Vec::new();
    for chunk in &applied.rows {
        assert_eq!((chunk.source, chunk.partition), (3, 3));
        rows.extend(
            (0..chunk.rows.num_rows()).map(|row| (chunk.positions.value(row), Scalars::of_row(&chunk.rows, row))),
        );
    }
    rows
}

/// Positions, reasons and raw bytes of the rows that did not.
fn rejected(applied: &Applied) -> Vec<(u64, String, Option<Vec<u8>>)> {
    let Some(letters) = &applied.dead_letters else { return Vec::new() };
    assert_eq!((letters.kind, letters.source, letters.partition), (operators_core::chunk::Kind::DeadLetters, 3, 3));
    assert_eq!(letters.columns(), *operators_core::dead_letter::schema());
    assert_eq!(letters.rows["source_partition"].as_ref(), &UInt32Array::from_value(3, letters.rows.num_rows()));
    assert_eq!(letters.rows["position"].as_ref(), &letters.positions);
    let text =
        |name: &str| letters.rows.column_by_name(name).unwrap().as_any().downcast_ref::<StringArray>().unwrap().clone();
    let raw = letters.rows.column_by_name("raw").unwrap().as_any().downcast_ref::<BinaryArray>().unwrap();
    let reasons = text("reason").iter().map(|reason| reason.unwrap().to_owned()).collect::<Vec<_>>();
    let positions = letters.positions.values().iter();
    positions
        .zip(reasons)
        .zip(raw)
        .map(|((position, reason), raw)| (*position, reason, raw.map(<[u8]>::to_vec)))
        .collect()
}
