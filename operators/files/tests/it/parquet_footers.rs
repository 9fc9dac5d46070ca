//! What the files of the Parquet sink say about their rows, which decides what readers skip.

use crate::archive_world::{files, run};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    UInt64Array,
};
use bytes::Bytes;
use files::sink::ParquetConfig;
use files::sink::{Compression, Layout, ParquetSink};
use files::store::STAGING;
use files::store::Store;
use files::store::memory::Memory;
use operators_core::config::Context;
use operators_core::schema::Column;
use operators_core::stage::{Closing, Inflow, Sink};
use operators_core::{Chunk, ColumnType, Schema};
use parquet::basic::ColumnOrder;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::file::statistics::Statistics;
use std::path::Path;
use std::sync::Arc;

/// A file of the sink that holds these columns, written in chunks of at most `chunk` rows.
fn file(columns: &[(&str, ArrayRef)], bloom: &[&str], chunk: usize) -> SerializedFileReader<Bytes> {
    let columns = columns.iter().map(|(name, values)| (*name, Arc::clone(values), true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let memory = Memory::default();
    let sink = ParquetSink::new(
        Arc::new(memory.clone()),
        "archive".to_owned(),
        &Schema::from_arrow(rows.schema()),
        Compression::Zstd,
        Layout::Batches,
    );
    let sink = sink.with_bloom_filters(&bloom.iter().map(|&column| column.to_owned()).collect::<Vec<_>>());
    let mut writer = sink.writer(&run("one"), 0).unwrap();
    for begin in (0..rows.num_rows()).step_by(chunk) {
        let rows = rows.slice(begin, chunk.min(rows.num_rows() - begin));
        let positions = UInt64Array::from_iter_values((begin as u64..).take(rows.num_rows()));
        writer.write(Chunk::new(0, positions, rows)).unwrap();
    }
    writer.close(&Closing::default()).unwrap();
    let written = files(&memory, STAGING);
    let [path] = &written[..] else { panic!("{written:?}") };
    let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_page_index().with_reader_properties(properties).build();
    SerializedFileReader::new_with_options(Bytes::from(memory.read(path).unwrap()), options).unwrap()
}

fn doubles(values: &[Option<f64>]) -> SerializedFileReader<Bytes> {
    file(&[("degrees", Arc::new(Float64Array::from(values.to_vec())))], &[], values.len())
}

fn statistics(metadata: &ParquetMetaData, row_group: usize, column: usize) -> &Statistics {
    metadata.row_group(row_group).column(column).statistics().unwrap()
}

/// Least and greatest value by their bits, as 0.0 equals -0.0: of a chunk, and of its only page.
fn bits(file: &SerializedFileReader<Bytes>) -> [Option<[u64; 2]>; 2] {
    let Statistics::Double(chunk) = statistics(file.metadata(), 0, 0) else { panic!("no doubles") };
    let page = match file.metadata().page_index().unwrap().column_index(0, 0) {
        Some(ColumnIndexMetaData::DOUBLE(pages)) => pages.min_value(0).zip(pages.max_value(0)),
        _ => None,
    };
    let bits = |(min, max): (&f64, &f64)| [min.to_bits(), max.to_bits()];
    [chunk.min_opt().zip(chunk.max_opt()).map(bits), page.map(bits)]
}

/// Readers that don't know the order of IEEE 754 refuse the whole file.
#[test]
fn all_columns_have_the_order_of_their_type() {
    let columns: [(&str, ArrayRef); 7] = [
        ("double", Arc::new(Float64Array::from(vec![1.5]))),
        ("float", Arc::new(Float32Array::from(vec![1.5]))),
        ("int", Arc::new(Int64Array::from(vec![1]))),
        ("text", Arc::new(StringArray::from(vec!["a"]))),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"a"]))),
        ("flag", Arc::new(BooleanArray::from(vec![true]))),
        ("day", Arc::new(Date32Array::from(vec![1]))),
    ];
    let file = file(&columns, &[], 1);
    let orders = file.metadata().file_metadata().column_orders().unwrap();
    assert_eq!(orders.len(), columns.len());
    assert!(orders.iter().all(|order| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))), "{orders:?}");
}

/// Spark and DuckDB sort NaN above all numbers: `degrees > 5` finds it, and must not skip it.
#[test]
fn a_column_with_nan_has_no_bounds() {
    for values in [
        vec![Some(1.0), Some(f64::NAN), None, Some(2.0)],
        vec![Some(f64::NAN), Some(-f64::NAN), None],
        vec![Some(-f64::NAN), Some(1.0), None],
    ] {
        let file = doubles(&values);
        assert_eq!(bits(&file), [None, None], "{values:?}");
        let statistics = statistics(file.metadata(), 0, 0);
        assert_eq!(statistics.null_count_opt(), Some(1), "{values:?}");
        let column = file.metadata().row_group(0).column(0);
        assert_eq!((column.column_index_offset(), column.column_index_length()), (None, None), "{values:?}");
        assert!(column.offset_index_offset().is_some(), "{values:?}");
    }
    let floats = Float32Array::from(vec![1.0, f32::NAN]);
    let file = file(&[("degrees", Arc::new(floats))], &[], 2);
    let statistics = statistics(file.metadata(), 0, 0);
    assert!(statistics.min_bytes_opt().is_none() && statistics.max_bytes_opt().is_none());
}

#[test]
fn bounds_cover_infinities_and_both_zeros() {
    let bounds = |min: f64, max: f64| [Some([min.to_bits(), max.to_bits()]); 2];
    let (minus, plus) = (f64::NEG_INFINITY, f64::INFINITY);
    for (values, expected) in [
        (vec![Some(1.5), None, Some(-2.5)], bounds(-2.5, 1.5)),
        (vec![Some(minus), Some(0.5), Some(plus)], bounds(minus, plus)),
        (vec![Some(plus)], bounds(plus, plus)),
        (vec![Some(0.0), Some(1.0)], bounds(-0.0, 1.0)),
        (vec![Some(-0.0), Some(-1.0)], bounds(-1.0, 0.0)),
        (vec![Some(-0.0)], bounds(-0.0, 0.0)),
        (vec![Some(0.0), Some(-0.0)], bounds(-0.0, 0.0)),
        (vec![Some(f64::MIN_POSITIVE), Some(f64::MAX)], bounds(f64::MIN_POSITIVE, f64::MAX)),
    ] {
        assert_eq!(bits(&doubles(&values)), expected, "{values:?}");
    }
}

/// Spark would skip a chunk with -0.0 in its dictionary and no 0.0 for `degrees = 0.0`.
#[test]
fn no_footer_says_that_all_floats_are_in_a_dictionary() {
    let columns: [(&str, ArrayRef); 2] = [
        ("degrees", Arc::new(Float64Array::from(vec![-0.0; 100]))),
        ("number", Arc::new(Int64Array::from(vec![1; 100]))),
    ];
    let file = file(&columns, &[], 100);
    let column = |index| file.metadata().row_group(0).column(index);
    assert!(column(0).dictionary_page_offset().is_some() && column(1).dictionary_page_offset().is_some());
    assert!(column(0).page_encoding_stats().is_none() && column(0).page_encoding_stats_mask().is_none());
    assert!(column(1).page_encoding_stats().is_some() || column(1).page_encoding_stats_mask().is_some());
}

#[test]
fn a_chunk_of_nulls_counts_them() {
    let file = doubles(&[None, None, None]);
    assert_eq!(bits(&file), [None, None]);
    assert_eq!(statistics(file.metadata(), 0, 0).null_count_opt(), Some(3));
    let index = file.metadata().page_index().unwrap();
    let Some(ColumnIndexMetaData::DOUBLE(pages)) = index.column_index(0, 0) else { panic!("no column index") };
    assert!(pages.is_null_page(0));
    assert_eq!(pages.null_count(0), Some(3));
}

#[test]
fn each_row_group_and_page_has_its_own_bounds() {
    let file = three_row_groups(|row| row as f64);
    let metadata = file.metadata();
    let index = metadata.page_index().unwrap();
    for (row_group, first, last) in [(0, 0, ROWS - 1), (1, ROWS, 2 * ROWS - 1), (2, 2 * ROWS, TOTAL - 1)] {
        let (Statistics::Double(degrees), Statistics::Int64(row)) =
            (statistics(metadata, row_group, 0), statistics(metadata, row_group, 1))
        else {
            panic!("other types")
        };
        assert_eq!(degrees.min_opt().zip(degrees.max_opt()), Some((&(first as f64), &(last as f64))));
        assert_eq!(row.min_opt().zip(row.max_opt()), Some((&(first as i64), &(last as i64))));
        let (Some(ColumnIndexMetaData::DOUBLE(degrees)), Some(ColumnIndexMetaData::INT64(rows))) =
            (index.column_index(row_group, 0), index.column_index(row_group, 1))
        else {
            panic!("no column index")
        };
        assert!(degrees.num_pages() > 1 && rows.num_pages() > 1);
        let of_pages =
            |mins: &[i64], maxs: &[i64]| mins.iter().zip(maxs).all(|(min, max)| first as i64 <= *min && min < max);
        assert!(of_pages(rows.min_values(), rows.max_values()));
        let whole = |values: &[f64]| values.iter().map(|&value| value as i64).collect::<Vec<_>>();
        assert!(of_pages(&whole(degrees.min_values()), &whole(degrees.max_values())));
    }
}

/// DataFusion takes the bounds of the row groups that have some for those of the file, and would skip the NaN.
#[test]
fn a_nan_in_one_row_group_leaves_its_column_without_bounds_in_all() {
    let file = three_row_groups(|row| if row == ROWS + 7 { f64::NAN } else { row as f64 });
    let metadata = file.metadata();
    let index = metadata.page_index().unwrap();
    for row_group in 0..3 {
        let (degrees, row) = (statistics(metadata, row_group, 0), statistics(metadata, row_group, 1));
        assert_eq!((degrees.min_bytes_opt(), degrees.max_bytes_opt()), (None, None));
        assert_eq!(degrees.nan_count_opt(), Some(u64::from(row_group == 1)));
        assert!(row.min_bytes_opt().is_some() && row.max_bytes_opt().is_some());
        assert!(index.column_index(row_group, 0).is_none() && index.column_index(row_group, 1).is_some());
        assert!(index.offset_index(row_group, 0).is_some());
    }
}

const ROWS: usize = 1 << 20;
const TOTAL: usize = 2 * ROWS + 30_000;

/// Two whole row groups and the beginning of a third.
fn three_row_groups(degrees: impl Fn(usize) -> f64) -> SerializedFileReader<Bytes> {
    let columns: [(&str, ArrayRef); 2] = [
        ("degrees", Arc::new(Float64Array::from_iter_values((0..TOTAL).map(degrees)))),
        ("row", Arc::new(Int64Array::from_iter_values(0..TOTAL as i64))),
    ];
    let file = file(&columns, &[], 1 << 17);
    let rows: Vec<_> = file.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(rows, [ROWS as i64, ROWS as i64, 30_000]);
    file
}

#[test]
fn text_has_bounds_and_long_text_is_cut() {
    let long = "ü".repeat(100);
    let columns: [(&str, ArrayRef); 2] = [
        ("date", Arc::new(StringArray::from(vec![Some("2000-01-02"), None, Some("2000-01-01")]))),
        ("station_id", Arc::new(StringArray::from(vec![Some(&*long), None, Some(&*long)]))),
    ];
    let file = file(&columns, &[], 3);
    let metadata = file.metadata();
    let (date, station) = (statistics(metadata, 0, 0), statistics(metadata, 0, 1));
    assert_eq!(date.min_bytes_opt(), Some(&b"2000-01-01"[..]));
    assert_eq!(date.max_bytes_opt(), Some(&b"2000-01-02"[..]));
    assert!(date.min_is_exact() && date.max_is_exact());
    assert_eq!(date.null_count_opt(), Some(1));
    let (min, max) = (station.min_bytes_opt().unwrap(), station.max_bytes_opt().unwrap());
    assert!(min.len() <= 64 && max.len() <= 64, "{} and {} bytes", min.len(), max.len());
    assert!(min < long.as_bytes() && max > long.as_bytes() && !station.min_is_exact() && !station.max_is_exact());
    std::str::from_utf8(max).unwrap();
    let index = metadata.page_index().unwrap();
    let Some(ColumnIndexMetaData::BYTE_ARRAY(pages)) = index.column_index(0, 0) else { panic!("no column index") };
    assert_eq!((pages.min_value(0), pages.max_value(0)), (date.min_bytes_opt(), date.max_bytes_opt()));
}

#[test]
fn a_bloom_filter_holds_every_value() {
    let id = |number: usize| format!("station-{number:05}");
    let ids = StringArray::from_iter_values((0..5_000).map(id));
    let numbers = Int64Array::from_iter_values(0..5_000);
    let columns: [(&str, ArrayRef); 2] = [("station_id", Arc::new(ids)), ("number", Arc::new(numbers))];
    let file = file(&columns, &["station_id"], 1_000);
    let group = file.get_row_group(0).unwrap();
    assert!(group.get_column_bloom_filter(1).is_none());
    let filter: &Sbbf = group.get_column_bloom_filter(0).unwrap();
    assert!((0..5_000).all(|number| filter.check(id(number).as_str())));
    let wrong = (5_000..15_000).filter(|&number| filter.check(id(number).as_str())).count();
    println!("{wrong} of 10,000 values that are not there could be there");
    assert!(wrong < 1_000, "{wrong}");
    let length = file.metadata().row_group(0).column(0).bloom_filter_length().unwrap();
    assert!(length < 16 << 10, "a filter is as large as its values need: {length} bytes");
}

#[test]
fn a_bloom_filter_on_a_column_without_use_is_refused() {
    let column = |name, column_type: ColumnType| Column::new(name, column_type, true);
    use ColumnType::{Bool, Float32, Float64, String as Text};
    let input = Schema::new(vec![column("id", Text), column("ok", Bool), column("f", Float32), column("d", Float64)]);
    let problems = |bloom: &[&str]| {
        let sink = serde_json::json!({ "url": "file:data", "bloom": bloom });
        let config: ParquetConfig = serde_json::from_value(sink).unwrap();
        let built = config.build(&input, Inflow::default(), &Context { dir: Path::new("/pipelines").to_owned() });
        built.err().unwrap_or_default()
    };
    assert_eq!(problems(&["id"]), []);
    let found = problems(&["idd", "id", "id", "ok", "f", "d"]);
    let places: Vec<_> = found.iter().map(|problem| problem.at.join(".")).collect();
    assert_eq!(places, ["bloom.0", "bloom.2", "bloom.3", "bloom.4", "bloom.5"]);
    assert!(found[0].message.contains("`idd`") && found[0].help.as_ref().unwrap().contains("id, ok, f, d"));
    assert!(found[3].message.contains("float32") && found[4].message.contains("float64"));
}
