//! What is printed says exactly what is there, and no value can do anything to a terminal.

use super::*;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
    ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray, UInt64Array,
};
use operators_core::chunk::Chunk;
use operators_core::config::OnError;
use operators_core::dead_letter::{self, Rejected};
use operators_core::schema::{Column, Schema};
use operators_core::types::ColumnType;
use proptest::prelude::*;
use std::sync::Arc;

/// Rows of these columns, at positions 10, 11, ... of source partition 3.
fn chunk(columns: Vec<(&str, ArrayRef)>) -> Chunk {
    let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true))).unwrap();
    Chunk::new(3, UInt64Array::from_iter_values(10..10 + rows.num_rows() as u64), rows)
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn bytes(values: &[Option<&[u8]>]) -> ArrayRef {
    Arc::new(BinaryArray::from(values.to_vec()))
}

/// As the output of a source of these very rows.
fn printed(chunks: &[Chunk], format: Format) -> String {
    let columns = chunks[0].columns();
    let view = View::passing(&columns, &columns, false);
    let mut printer = Printer::new(&view, format).unwrap();
    let mut out = Vec::new();
    for chunk in chunks {
        let page = Page::new(&view, vec![chunk.clone()], Origin::Read(chunk)).unwrap();
        printer.print(&page, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

/// The row of a JSON line, without what tells it from others.
fn row(columns: Vec<(&str, ArrayRef)>) -> String {
    let line = printed(&[chunk(columns)], Format::Json);
    line.strip_prefix("{\"partition\":3,\"position\":10,\"row\":{").unwrap().strip_suffix("}}\n").unwrap().to_owned()
}

#[test]
fn json_is_exact() {
    let big = (1_u64 << 53) + 1;
    assert_eq!(row(vec![("n", Arc::new(UInt64Array::from(vec![u64::MAX])))]), r#""n":18446744073709551615"#);
    assert_eq!(row(vec![("n", Arc::new(Int64Array::from(vec![i64::MIN])))]), r#""n":-9223372036854775808"#);
    assert_eq!(row(vec![("n", Arc::new(UInt64Array::from(vec![big])))]), r#""n":9007199254740993"#);
    for (float, text) in [(0.1, "0.1"), (-0.0, "-0.0"), (17.3, "17.3"), (5e-324, "5e-324"), (1e300, "1e+300")] {
        assert_eq!(row(vec![("f", Arc::new(Float64Array::from(vec![float])))]), format!("\"f\":{text}"));
    }
    for (float, text) in [(f64::NAN, "NaN"), (f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")] {
        assert_eq!(row(vec![("f", Arc::new(Float64Array::from(vec![float])))]), format!("\"f\":\"{text}\""));
        assert_eq!(row(vec![("f", Arc::new(Float32Array::from(vec![float as f32])))]), format!("\"f\":\"{text}\""));
    }
    assert_eq!(row(vec![("f", Arc::new(Float32Array::from(vec![0.1])))]), r#""f":0.1"#);
    assert_eq!(row(vec![("b", Arc::new(BooleanArray::from(vec![true])))]), r#""b":true"#);
    assert_eq!(row(vec![("d", Arc::new(Date32Array::from(vec![-1])))]), r#""d":"1969-12-31""#);
    assert_eq!(row(vec![("t", strings(&[Some("")])), ("u", strings(&[None]))]), r#""t":"","u":null"#);
    assert_eq!(row(vec![("t", strings(&[Some("a\"\\\n€")]))]), r#""t":"a\"\\\n€""#);
    let money = Decimal128Array::from(vec![12_345]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(row(vec![("m", Arc::new(money))]), r#""m":"123.45""#);
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), None]);
    assert_eq!(row(vec![("l", Arc::new(list.finish()))]), r#""l":["a",null]"#);
}

#[test]
fn times_are_rfc_3339() {
    let times = |micros, zone: Option<&str>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone_opt(zone))
    };
    assert_eq!(row(vec![("t", times(0, Some("+00:00")))]), r#""t":"1970-01-01T00:00:00Z""#);
    assert_eq!(row(vec![("t", times(-1, Some("+00:00")))]), r#""t":"1969-12-31T23:59:59.999999Z""#);
    // Parquet files of others name the zone; the moment is the same.
    assert_eq!(row(vec![("t", times(1_500_000, Some("Europe/Rome")))]), r#""t":"1970-01-01T00:00:01.500Z""#);
    assert_eq!(row(vec![("t", times(1_500_000, None))]), r#""t":"1970-01-01T00:00:01.500""#);
}

#[test]
fn bytes_are_text_where_they_can_be() {
    let shown = |value: &[u8]| of_bytes_as_json(value);
    assert_eq!(shown(b"{\"a\":\t1}\n"), r#""{\"a\":\t1}\n""#);
    assert_eq!(shown("größe".as_bytes()), "\"größe\"");
    assert_eq!(shown(b""), "\"\"");
    assert_eq!(shown(b"\x0a\x0a2000"), r#""\n\n2000""#);
    assert_eq!(shown(b"\x1b[2J"), "\"0x1b5b324a\"");
    assert_eq!(shown(b"\xff\x00"), "\"0xff00\"");
    assert_eq!(shown(b"0xff00"), "\"0x307866663030\"", "digits always mean digits");
}

fn of_bytes_as_json(value: &[u8]) -> String {
    row(vec![("v", bytes(&[Some(value)]))]).strip_prefix("\"v\":").unwrap().to_owned()
}

#[test]
fn raw_is_verbatim_but_not_on_a_terminal() {
    let rows = [chunk(vec![("key", bytes(&[None, None])), ("value", bytes(&[Some(b"a\x1b[2J"), None]))])];
    assert_eq!(printed(&rows, Format::Raw(Bytes::Verbatim)), "a\x1b[2J\n\n");
    assert_eq!(printed(&rows, Format::Raw(Bytes::Escaped)), "0x611b5b324a\n\n");
    let columns = chunk(vec![("key", bytes(&[None])), ("value", Arc::new(Int64Array::from(vec![1])))]).columns();
    let refused = Printer::new(&View::passing(&columns, &columns, false), Format::Raw(Bytes::Verbatim)).err().unwrap();
    assert!(refused.ends_with("the columns are: value"), "{refused}");
}

#[test]
fn a_table_tells_null_from_text_and_cuts_what_is_wide() {
    let rows = |names: &[Option<&str>]| {
        let degrees = Float64Array::from_iter_values((0..names.len()).map(|row| row as f64 * 1.5));
        chunk(vec![("name", strings(names)), ("degrees", Arc::new(degrees))])
    };
    let first = rows(&[Some("a"), None, Some(""), Some("null"), Some(" b"), Some("\"c")]);
    let longer = rows(&[Some("eleven cells")]);
    let wide = rows(&[Some("日本語の長い名前"), Some("b\tc"), Some("one two three four five")]);
    assert_eq!(
        printed(&[first, longer, wide], Format::Table(Some(50))),
        "\
partition  position  name    degrees
─────────  ────────  ──────  ───────
        3        10  a           0.0
        3        11  null        1.5
        3        12  \"\"          3.0
        3        13  \"null\"      4.5
        3        14  \" b\"        6.0
        3        15  \"\\\"c\"       7.5

partition  position  name              degrees
─────────  ────────  ────────────────  ───────
        3        10  eleven cells          0.0

partition  position  name                  degrees
─────────  ────────  ────────────────────  ───────
        3        10  日本語の長い名前          0.0
        3        11  b\\tc                      1.5
        3        12  one two three four …      3.0
"
    );
}

#[test]
fn a_table_without_a_width_cuts_nothing() {
    let long = "x".repeat(500);
    let text = printed(&[chunk(vec![("name", strings(&[Some(&long)]))])], Format::Table(None));
    assert!(text.contains(&long), "{text}");
}

#[test]
fn a_row_keeps_the_key_of_its_message() {
    let read = chunk(vec![
        ("key", bytes(&[Some(b"S1"), None, Some(b"\x01")])),
        ("value", bytes(&[Some(b"a"), Some(b"b"), None])),
    ]);
    assert_eq!(
        printed(std::slice::from_ref(&read), Format::Json),
        "{\"partition\":3,\"position\":10,\"key\":\"S1\",\"row\":{\"value\":\"a\"}}\n\
         {\"partition\":3,\"position\":11,\"key\":null,\"row\":{\"value\":\"b\"}}\n\
         {\"partition\":3,\"position\":12,\"key\":\"0x01\",\"row\":{\"value\":null}}\n"
    );
    // Stages have decoded the rows, left one out, and spread the others.
    let passed = |position, key: &str, to| {
        let rows = RecordBatch::try_from_iter_with_nullable([("key", strings(&[Some(key)]), true)]).unwrap();
        Chunk { partition: to, ..Chunk::new(3, UInt64Array::from(vec![position]), rows) }
    };
    let passed = vec![passed(12, "third", 0), passed(10, "first", 7)];
    let view = View::passing(&read.columns(), &passed[0].columns(), true);
    let page = Page::new(&view, passed, Origin::Read(&read)).unwrap();
    let mut out = Vec::new();
    Printer::new(&view, Format::Json).unwrap().print(&page, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"partition\":3,\"position\":10,\"to\":7,\"key\":\"S1\",\"row\":{\"key\":\"first\"}}\n\
         {\"partition\":3,\"position\":12,\"to\":0,\"key\":\"0x01\",\"row\":{\"key\":\"third\"}}\n"
    );
}

/// A page of rows, those at some indices rejected.
fn page(values: &[Option<&[u8]>], rejected: &[usize]) -> (View, Page) {
    let read = chunk(vec![("value", bytes(values))]);
    let view = View::passing(&read.columns(), &read.columns(), false);
    let reason = "no message\x1b[2J".to_owned();
    let rejected = rejected.iter().map(|&row| Rejected { row, reason: reason.clone() }).collect();
    let raw = |at: &arrow::array::UInt32Array| Ok(arrow::compute::take(&bytes(values), at, None)?.as_binary().clone());
    let applied = dead_letter::part("decode.json", OnError::DeadLetter, read.clone(), rejected, raw).unwrap();
    let chunks = applied.rows.into_iter().chain(applied.dead_letters).collect();
    let page = Page::new(&view, chunks, Origin::Read(&read)).unwrap();
    (view, page)
}

#[test]
fn dead_letters_say_where_and_why() {
    assert_eq!(
        page(&[Some(b"\x1b[2J")], &[0]).1.letters_in_words(),
        ["dead letter of partition 3, position 10: decode.json: no message\\u001b[2J; its bytes: 0x1b5b324a"]
    );
}

#[test]
fn a_page_is_cut_where_it_was_read() {
    let cut = |most| {
        let (_, mut page) = page(&[Some(b"a"), Some(b"b"), Some(b"c"), Some(b"d"), Some(b"e")], &[0, 2, 3]);
        page.cut(most);
        (page.rows(), page.letters())
    };
    assert_eq!([0, 1, 2, 3, 4, 5, 6].map(cut), [(0, 0), (0, 1), (1, 1), (1, 2), (1, 3), (2, 3), (2, 3)]);
}

/// Text of all that terminals understand as commands, among other text.
fn text() -> impl Strategy<Value = String> {
    let command = prop::sample::select(vec![
        "\u{1b}[2J",
        "\u{1b}]0;title\u{7}",
        "\u{9b}2J",
        "\r",
        "\n",
        "\u{8}",
        "\u{7f}",
        "\u{85}",
        "\u{202e}",
        "\u{2028}",
        "日本",
        "e\u{301}",
        "\"",
        "\\",
        "null",
        "",
        " ",
        "0x",
    ]);
    prop::collection::vec(prop_oneof![command.prop_map(str::to_owned), any::<String>()], 0..4).prop_map(|t| t.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the rows hold, and whatever their columns are called.
    #[test]
    fn nothing_that_is_printed_acts_on_a_terminal(
        name in text(), texts in prop::collection::vec(text(), 1..5), keys in prop::collection::vec(any::<u8>(), 0..9),
        width in 1_usize..100,
    ) {
        let values: Vec<_> = texts.iter().map(|text| Some(text.as_bytes())).collect();
        let key = vec![Some(keys.as_slice()); texts.len()];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("key", bytes(&key)),
            ("value", bytes(&values)),
            (&name, Arc::new(StringArray::from(texts.clone()))),
        ];
        let rows = chunk(columns);
        for format in [Format::Json, Format::Table(Some(width)), Format::Table(None), Format::Raw(Bytes::Escaped)] {
            let printed = printed(std::slice::from_ref(&rows), format);
            let acts = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}'));
            prop_assert!(!printed.contains(acts), "{format:?}: {printed:?}");
            let head = if matches!(format, Format::Table(_)) { 2 } else { 0 };
            prop_assert_eq!(printed.lines().count(), head + texts.len(), "{:?}: {:?}", format, printed);
            if let Format::Table(Some(width)) = format {
                prop_assert!(printed.lines().all(|line| value::width(line) <= width), "{}: {:?}", width, printed);
            }
        }
        // And JSON loses nothing.
        for (line, text) in printed(&[rows], Format::Json).lines().zip(&texts) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(line["row"][&name].as_str(), Some(text.as_str()));
        }
    }
}

#[test]
fn views_differ_where_columns_do() {
    let columns = |name| Schema::new(vec![Column::new(name, ColumnType::String, true)]);
    assert_eq!(View::stored(&columns("a"), true), View::stored(&columns("a"), true));
    assert_ne!(View::stored(&columns("a"), true), View::stored(&columns("b"), true));
    assert_ne!(View::stored(&columns("a"), true), View::stored(&columns("a"), false));
}
