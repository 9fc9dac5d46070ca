//! The schema and the reader of files agree on what a file may say.

use super::schema;
use crate::catalogue::stages::catalogue;
use crate::catalogue::template::template;
use crate::diagnostics::diagnostic::Diagnostics;
use crate::file::Pipeline;
use crate::load::checked;
use crate::values::read::read;
use crate::values::resolve::Outside;
use jsonschema::Validator;
use operators_core::config::Context;
use proptest::prelude::*;
use proptest::sample::Index;
use std::env::VarError;
use std::path::Path;
use toml::Value;

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema().unwrap()).unwrap()
}

/// Whether a file says what files may say, as `load` finds before it builds a stage. Which variables are set is no
/// matter of the file.
fn is_read(text: &str, dir: &Path) -> bool {
    let context = Context { dir: dir.to_owned() };
    let mut found = Diagnostics::new("test.toml", text.to_owned());
    let outside = Outside { context: &context, env: &|_| Err(VarError::NotPresent) };
    let root = checked::<Pipeline>(text, &outside, &mut found);
    let is_read = root.and_then(|root| read::<Pipeline>(&root, &mut found)).is_some() && found.is_empty();
    let shown = found.to_string();
    is_read || shown.contains("is not set") && shown.contains("\n1 error in ")
}

/// A file as editors hold it against a schema: days and times are texts there.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Datetime(date) => date.to_string().into(),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(flag) => (*flag).into(),
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(name: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|is| is == "toml")).collect();
    files.sort();
    files
}

/// Files of the repository, and those that `init` writes.
fn good() -> Vec<String> {
    let mut texts: Vec<_> =
        files("../../pipelines").iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let stages = catalogue();
    let kinds = |slot| stages.iter().filter(move |stage| stage.slot == slot).map(|stage| stage.kind.as_str());
    for source in kinds("source") {
        texts.extend(kinds("sink").map(|sink| template("x", source, sink)));
    }
    texts
}

#[test]
fn good_files_are_valid() {
    let (validator, texts) = (validator(), good());
    for text in &texts {
        let instance = json(&toml::from_str(text).unwrap());
        let errors: Vec<_> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty() && is_read(text, &folder("../../pipelines")), "{errors:?}\n{text}");
    }
    println!("{} files valid", texts.len());
}

#[test]
fn wrong_files_are_not_valid() {
    let validator = validator();
    let (mut refused, mut later) = (0, 0);
    for file in files("../cli/tests/wrong") {
        let text = std::fs::read_to_string(&file).unwrap();
        // An editor says by itself what is no TOML.
        let Ok(value) = toml::from_str(text.trim_start_matches('\u{FEFF}')) else { continue };
        match (is_read(&text, file.parent().unwrap()), validator.is_valid(&json(&value))) {
            (false, false) => refused += 1,
            // What is wrong with it is found when its stages are built.
            (true, true) => later += 1,
            (read, valid) => panic!("{}: read: {read}, valid: {valid}", file.display()),
        }
    }
    println!("{refused} wrong files refused by both, {later} found wrong only when stages are built");
    assert!(refused >= 20);
}

/// Every place of a value: the keys and indices that lead there.
fn places(value: &Value, way: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (step, part) in parts {
        way.push(step);
        found.push(way.clone());
        places(part, way, found);
        way.pop();
    }
}

/// A key and its value made of others; nothing takes them out.
type Edit<'a> = &'a dyn Fn(&str, &Value) -> Option<(String, Value)>;

/// Makes something else of the value at a place, and of its key where it has one.
fn change(value: &mut Value, way: &[String], new: Edit<'_>) {
    let [step, rest @ ..] = way else { return };
    match value {
        Value::Table(table) if rest.is_empty() => {
            if let Some(old) = table.remove(step) {
                table.extend(new(step, &old));
            }
        }
        Value::Array(items) if rest.is_empty() => {
            let index = step.parse::<usize>().unwrap();
            if index < items.len() {
                let old = items.remove(index);
                new(step, &old).into_iter().for_each(|(_, new)| items.insert(index, new));
            }
        }
        Value::Table(table) => table.get_mut(step).into_iter().for_each(|part| change(part, rest, new)),
        Value::Array(items) => {
            items.get_mut(step.parse::<usize>().unwrap()).into_iter().for_each(|part| change(part, rest, new));
        }
        _ => {}
    }
}

const CHANGES: usize = 15;

/// What is put in the place of a key and its value.
fn changed(change: usize, key: &str, old: &Value) -> Option<(String, Value)> {
    if change == 0 {
        return Some((format!("{key}_"), old.clone()));
    }
    replaced(change, old).map(|new| (key.to_owned(), new))
}

fn replaced(change: usize, old: &Value) -> Option<Value> {
    let reference = |pairs: &[(&str, Value)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        Some(Value::Table(pairs.collect()))
    };
    let name = Value::from("WEATHERFLOW_TEST_UNSET");
    match change {
        1 => None,
        2 => Some("10 apples".into()),
        3 => Some(" 10 s".into()),
        4 => Some("64KiB".into()),
        5 => Some("".into()),
        6 => Some(7.into()),
        7 => Some((-7).into()),
        8 => Some(0.5.into()),
        9 => Some(true.into()),
        10 => Some(Value::Array(Vec::new())),
        11 => Some(Value::Table(toml::Table::new())),
        12 => reference(&[("env", name), ("default", old.clone())]),
        13 => reference(&[("env", name), ("default", "12".into())]),
        _ => reference(&[("env", name), ("defualt", old.clone())]),
    }
}

fn agree(validator: &Validator, value: &Value) -> Result<bool, String> {
    let text = toml::to_string(value).unwrap();
    let (read, valid) = (is_read(&text, &folder("../../pipelines")), validator.is_valid(&json(value)));
    if read == valid { Ok(read) } else { Err(format!("read: {read}, valid: {valid}\n{text}")) }
}

#[test]
fn one_change_is_seen_by_both() {
    let validator = validator();
    let (mut accepted, mut refused) = (0, 0);
    let sources = ["weather", "table", "kafka", "topic"];
    let sinks = ["kafka", "parquet", "table", "topic"];
    for text in sources.iter().zip(sinks).map(|(source, sink)| template("x", source, sink)) {
        let good: Value = toml::from_str(&text).unwrap();
        let mut all = Vec::new();
        places(&good, &mut Vec::new(), &mut all);
        for way in &all {
            for number in 0..CHANGES {
                let mut value = good.clone();
                change(&mut value, way, &|key, old| changed(number, key, old));
                match agree(&validator, &value).unwrap_or_else(|disagreed| panic!("{disagreed}")) {
                    true => accepted += 1,
                    false => refused += 1,
                }
            }
        }
    }
    println!("{accepted} changed files accepted by both, {refused} refused by both");
    assert!(accepted > 100 && refused > 300, "{accepted} accepted, {refused} refused");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Several changes at once, on the files of the repository.
    #[test]
    fn several_changes_are_seen_by_both(changes in proptest::collection::vec((any::<Index>(), 0..CHANGES), 1..4)) {
        let mut value: Value = toml::from_str(include_str!("../../../../../pipelines/weather-cluster.toml")).unwrap();
        for (at, number) in &changes {
            let mut all = Vec::new();
            places(&value, &mut Vec::new(), &mut all);
            if !all.is_empty() {
                change(&mut value, at.get(&all).as_slice(), &|key, old| changed(*number, key, old));
            }
        }
        if let Err(disagreed) = agree(&validator(), &value) {
            prop_assert!(false, "{disagreed}");
        }
    }
}
