//! What the sink of a server's table creates, refuses and stores.

use super::super::SinkConfig;
use super::super::sinks::commit_one;
use super::super::{drive, refusal, run, schema};
use super::{World, own};
use crate::database::failpoint::Failpoints;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use operators_core::chunk::Chunk;
use operators_core::config::Context;
use operators_core::schema::Schema;
use operators_core::stage::{BuiltSink, Finding};
use std::sync::Arc;

fn sink(world: &World, input: &Schema) -> BuiltSink {
    let json = format!(r#"{{"table": {{"url": "{}", "table": "t"}}}}"#, world.url());
    let config: SinkConfig = serde_json::from_str(&json).unwrap();
    config.build(input, operators_core::stage::Inflow::default(), &Context { dir: "/".into() }).unwrap()
}

fn batch<'n>(columns: impl IntoIterator<Item = (&'n str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn commit(world: &World, batch: RecordBatch) -> operators_core::Result<()> {
    let rows = batch.num_rows() as u64;
    commit_one(
        &sink(world, &Schema::from_arrow(batch.schema())),
        Chunk::new(0, UInt64Array::from_iter_values(0..rows), batch),
    )
}

#[test]
fn every_type_is_stored_as_it_is() {
    let Some(world) = own() else { return };
    let columns: [(&str, ArrayRef); 9] = [
        ("flag", Arc::new(BooleanArray::from(vec![true, false]))),
        ("small", Arc::new(Int32Array::from(vec![Some(-3), None]))),
        ("big", Arc::new(UInt64Array::from(vec![0, u64::MAX]))),
        ("single", Arc::new(Float32Array::from(vec![0.5, f32::MAX]))),
        ("double", Arc::new(Float64Array::from(vec![Some(-0.1), None]))),
        ("text", Arc::new(StringArray::from(vec!["", "\u{1f327}\u{fe0f}ç\"'\\"]))),
        ("raw", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\0\xff"), None]))),
        ("day", Arc::new(Date32Array::from(vec![0, 10_957]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("+00:00"))),
    ];
    commit(&world, batch(columns)).unwrap();
    let row = "SELECT CONCAT_WS('|', id, flag, IFNULL(small, 'null'), big, single, IFNULL(`double`, 'null'), text, \
               IFNULL(HEX(raw), 'null'), day, at) FROM t ORDER BY id";
    assert_eq!(
        world.texts(row),
        [
            "1|1|-3|0|0.5|-0.1||00FF|1970-01-01|1970-01-01 00:00:00.000000",
            "2|0|null|18446744073709551615|3.40282e38|null|\u{1f327}\u{fe0f}ç\"'\\|null|2000-01-01|1970-01-01 00:00:01.500000",
        ]
    );
    let types = "SELECT CONCAT(column_name, ' ', data_type) FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = 't' ORDER BY ordinal_position";
    let expected = "id bigint, flag tinyint, small int, big bigint, single float, double double, text longtext, \
                    raw longblob, day date, at datetime";
    assert_eq!(world.texts(types).join(", "), expected);
}

#[test]
fn values_that_a_server_would_change_are_errors() {
    let Some(world) = own() else { return };
    let bad: [ArrayRef; 4] = [
        Arc::new(Float64Array::from(vec![f64::NAN])),
        Arc::new(Float64Array::from(vec![f64::INFINITY])),
        Arc::new(TimestampMicrosecondArray::from(vec![253_402_300_800_000_000]).with_timezone("+00:00")),
        Arc::new(Date32Array::from(vec![i32::MAX / 2])),
    ];
    for array in bad {
        world.run("DROP TABLE IF EXISTS t, weatherflow_progress");
        let what = format!("{array:?}");
        commit(&world, batch([("odd", array)])).expect_err(&what);
        assert_eq!(world.texts("SELECT CAST(count(*) AS CHAR) FROM t"), ["0"], "{what}");
        assert_eq!(
            world.texts("SELECT progress FROM weatherflow_progress WHERE progress IS NOT NULL").len(),
            0,
            "{what}"
        );
    }
    // Into a table of the user's own: a text too long for its column is not cut off.
    world.run("DROP TABLE t, weatherflow_progress; CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, odd VARCHAR(3))");
    commit(&world, batch([("odd", Arc::new(StringArray::from(vec!["four"])) as ArrayRef)])).unwrap_err();
    assert_eq!(world.texts("SELECT CAST(count(*) AS CHAR) FROM t"), ["0"]);
}

#[test]
fn rows_of_megabytes_and_of_many_columns_go_in() {
    let Some(world) = own() else { return };
    let big: StringArray = (0..5).map(|i| Some(char::from(b'a' + i).to_string().repeat(2 << 20))).collect();
    commit(&world, batch([("big", Arc::new(big) as ArrayRef)])).unwrap();
    let sizes = world.texts("SELECT CONCAT(LEFT(big, 1), LENGTH(big)) FROM t ORDER BY id");
    assert_eq!(sizes, ["a2097152", "b2097152", "c2097152", "d2097152", "e2097152"]);
    // More values in a few hundred rows than one statement may have.
    world.run("DROP TABLE t, weatherflow_progress");
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300));
    let names: Vec<_> = (0..400).map(|i| format!("c{i}")).collect();
    commit(&world, batch(names.iter().map(|name| (name.as_str(), Arc::clone(&column))))).unwrap();
    let sum = "SELECT CONCAT(count(*), ' ', sum(c0 = id - 1 AND c399 = id - 1)) FROM t";
    assert_eq!(world.texts(sum), ["300 300"]);
}

#[test]
fn what_does_not_fit_is_refused_at_open() {
    let Some(world) = own() else { return };
    world.run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, station TEXT)");
    let refused = refusal(sink(&world, &schema()).sink.open(&run("x")));
    assert!(refused.contains("degrees, key, value") && refused.contains("id, station"), "{refused}");
    assert!(world.texts("SELECT run FROM weatherflow_progress").is_empty(), "a refusal takes nothing over");
    // Engines without transactions, of each table that takes part.
    for table in ["t", "weatherflow_progress", "weatherflow_dead_letters"] {
        let Some(world) = own() else { return };
        sink(&world, &schema()).sink.open(&run("x")).unwrap();
        if table == "weatherflow_progress" {
            world.run("ALTER TABLE weatherflow_progress MODIFY flow VARCHAR(100)");
        }
        world.run(&format!("ALTER TABLE {table} ENGINE = MyISAM"));
        let refused = refusal(sink(&world, &schema()).sink.open(&run("y")));
        assert!(refused.contains(table) && refused.contains("MyISAM"), "{refused}");
    }
    // A table that is gone while its progress is not.
    let Some(world) = own() else { return };
    let sink = world.sink(Failpoints::default());
    drive(&*sink, &run("x"), 1).unwrap();
    world.run("DROP TABLE `temper``\"atures`");
    assert!(refusal(sink.open(&run("y"))).contains("is gone"));
}

#[test]
fn damage_is_found() {
    let damages = [
        ("DELETE FROM `temper``\"atures` LIMIT 1", "1 fewer"),
        ("INSERT INTO `temper``\"atures` (station) VALUES ('x')", "1 more"),
        ("DROP TABLE `temper``\"atures`", "is gone, and 54 rows"),
        ("DELETE FROM weatherflow_dead_letters LIMIT 1", "5 dead letters"),
        ("DELETE FROM weatherflow_progress", "wrote 0"),
        ("UPDATE weatherflow_progress SET version = 7", "another version"),
        ("UPDATE weatherflow_progress SET progress = '{'", "holds no progress"),
    ];
    for (damage, expected) in damages {
        let Some(world) = own() else { return };
        let sink = world.sink(Failpoints::default());
        drive(&*sink, &run("one"), 3).unwrap();
        world.run(damage);
        let mut found = Vec::new();
        sink.audit("weather/test", &mut |finding: Finding| found.push(finding.problem)).unwrap();
        assert!(found.iter().any(|problem| problem.contains(expected)), "{damage}: {expected} in {found:#?}");
    }
}
