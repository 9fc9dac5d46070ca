//! Types survive the way through Arrow, and code decides about them where the compiler sees it.

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_arrow_type_is_kept_as_it_is() {
    let list = |item: FieldRef| DataType::List(item);
    let zoned = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
    let ours = [
        (DataType::Boolean, "bool"),
        (DataType::UInt64, "uint64"),
        (DataType::Utf8, "string"),
        (DataType::Binary, "bytes"),
        (DataType::Date32, "date"),
        (zoned(TimeUnit::Microsecond, Some("+00:00")), "timestamp"),
        (list(header()), "list(non-null struct(\"name\": non-null utf8, \"value\": binary))"),
    ];
    for (arrow, name) in ours {
        let column_type = ColumnType::from_arrow(&arrow);
        assert!(!matches!(column_type, ColumnType::Foreign(_)), "{arrow}");
        assert_eq!((column_type.to_string(), column_type.arrow()), (name.to_owned(), arrow));
    }
    let foreign = [
        (DataType::Int8, "int8", Family::Integer),
        (DataType::Decimal128(10, 2), "decimal128(10, 2)", Family::Real),
        (zoned(TimeUnit::Microsecond, None), "timestamp", Family::Time),
        (zoned(TimeUnit::Microsecond, Some("UTC")), "timestamp", Family::Time),
        (zoned(TimeUnit::Nanosecond, Some("+00:00")), "timestamp", Family::Time),
        (DataType::LargeUtf8, "largeutf8", Family::Other),
        (list(Arc::new(Field::new("item", DataType::Utf8, true))), "list(utf8)", Family::Other),
    ];
    for (arrow, name, family) in foreign {
        let column_type = ColumnType::from_arrow(&arrow);
        assert!(matches!(column_type, ColumnType::Foreign(_)), "{arrow}");
        assert_eq!((column_type.to_string(), column_type.family()), (name.to_owned(), family));
        assert_eq!(column_type.arrow(), arrow);
    }
}

/// The product code of all operators, by file: without tests, benches and doubles for tests.
fn product_code() -> Vec<(PathBuf, String)> {
    let operators = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut code = Vec::new();
    let mut folders = vec![operators.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["tests", "benches", "testkit"].contains(&name) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = fs::read_to_string(&path).unwrap();
                let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                code.push((path.strip_prefix(operators).unwrap().to_owned(), product));
            }
        }
    }
    assert!(code.len() > 100, "{} files", code.len());
    code
}

/// A type that is decided about by its Arrow name is one that the compiler does not report.
#[test]
fn arrow_types_are_named_where_schemas_come_in() {
    let allowed = [
        "core/src/types.rs",
        // Shows every type that a Parquet file of others can have, and names each.
        "stages/src/show/foreign.rs",
        // A trait of the Parquet library that has the same name.
        "files/src/archive/bounds.rs",
    ];
    let found = product_code().into_iter().filter(|(path, code)| {
        !allowed.iter().any(|allowed| path == Path::new(allowed))
            && code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("DataType"))
    });
    let found: Vec<_> = found.map(|(path, _)| path).collect();
    assert!(found.is_empty(), "decide by ColumnType, and make Arrow's type with ColumnType::arrow: {found:?}");
}

/// The enums that say what a column is; a match on one names every variant, so that a new one is reported.
const CLOSED: [&str; 5] = ["ColumnType::", "DeclaredType::", "Family::", "ColumnBuilder::", "DataType::"];

#[test]
fn decisions_about_types_name_every_variant() {
    let mut found = Vec::new();
    for (path, code) in product_code() {
        found.extend(silent(&code).into_iter().map(|line| format!("{}:{line}", path.display())));
    }
    assert!(found.is_empty(), "name every variant in a match:\n{}", found.join("\n"));
}

/// Lines that decide about a type in a way that the compiler does not check for new types.
fn silent(code: &str) -> Vec<String> {
    let is_closed = |text: &str| CLOSED.iter().any(|name| text.starts_with(name));
    let mut found = Vec::new();
    // Indentations of the arms of open matches on these enums.
    let mut matches: Vec<usize> = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let text = line.trim_start();
        let indentation = line.len() - text.len();
        if text.is_empty() || text.starts_with("//") {
            continue;
        }
        matches.retain(|arms| *arms <= indentation);
        let pattern = text.strip_prefix("| ").unwrap_or(text);
        let is_arm = text.contains("=>") || !text.contains(['=', ';', '.', ',']);
        if is_closed(pattern) && is_arm && !matches.contains(&indentation) {
            matches.push(indentation);
        }
        let catches_all = text.starts_with("_ ")
            || text.split_once(" =>").is_some_and(|(name, _)| {
                name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains(['(', ':', ' ', '"'])
            });
        let has_silent_pattern = ["if let ", "while let ", "let "].iter().any(|way| {
            text.match_indices(way).any(|(at, _)| is_closed(text[at + way.len()..].trim_start_matches("Some(")))
        }) || text.contains("matches!(") && CLOSED.iter().any(|name| text.contains(name));
        if has_silent_pattern || catches_all && matches.contains(&indentation) {
            found.push(format!("{number}: {text}"));
        }
    }
    found
}

#[test]
fn silent_decisions_are_seen() {
    let named = "match t {\n    ColumnType::Bool => 1,\n    ColumnType::Int32\n    | ColumnType::Int64 => match other {\n        \
                 Some(_) => 2,\n        _ => 3,\n    },\n}\nmatch text {\n    \"a\" => 1,\n    _ => ColumnType::Bool,\n}\n";
    assert_eq!(silent(named), Vec::<String>::new());
    let silent_ones = [
        "match t {\n    ColumnType::Bool => 1,\n    _ => 2,\n}\n",
        "match t {\n    Family::Text => {\n        one();\n    }\n    other => two(other),\n}\n",
        "match t {\n    ColumnType::Bool => 1,\n    _ if it_rains() => 2,\n}\n",
        "if let ColumnType::Bool = t {\n}\n",
        "let Some(DeclaredType::Bool) = t else { return };\n",
        "let is = matches!(t, ColumnType::Bool | ColumnType::Date);\n",
    ];
    for code in silent_ones {
        assert_eq!(silent(code).len(), 1, "{code}");
    }
}
