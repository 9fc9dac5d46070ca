use crate::diagnostics::diagnostic::Diagnostics;
use crate::file::Pipeline;
use crate::shape::Shape;
use crate::values::read::read;
use crate::values::resolve::Outside;
use operators_core::config::{Context, Interval, OnError, Secret, Size};
use proptest::prelude::*;
use proptest::sample::Index;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env::VarError;
use std::path::Path;
use std::time::Duration;

/// One field of every type that a config has.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Every {
    text: String,
    whole: u32,
    signed: i64,
    number: f64,
    flag: bool,
    every: Option<Interval>,
    size: Option<Size>,
    word: OnError,
    list: Vec<String>,
    map: BTreeMap<String, String>,
    password: Option<Secret>,
}

const VARIABLES: [(&str, &str); 14] = [
    ("QUOTES", "say \"it's\" '''now'''"),
    ("LINES", "one\ntwo = 2\r\n[three]\n"),
    ("DOLLAR", "${HOME} $HOME {{x}}"),
    ("TOML", "\"\nwhole = 7\n[[flow]]\nname = \"x\""),
    ("EMPTY", ""),
    ("FOUR", "4"),
    ("MINUS", "-4"),
    ("TRUE", "true"),
    ("SECONDS", "0.05"),
    ("SIZE", "3KiB"),
    ("SKIP", "skip"),
    ("PASSWORD", "hunter2"),
    ("LONG_PASSWORD", "hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2"),
    ("ODD_PASSWORD", " \"hunter2\"\n"),
];

/// Reads a text as a file of this folder; the environment is the one above.
fn parse(dir: &Path, text: &str) -> Result<Every, Diagnostics> {
    let context = Context { dir: dir.to_owned() };
    let env = |name: &str| match VARIABLES.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Ok((*value).to_owned()),
        None => Err(VarError::NotPresent),
    };
    let mut found = Diagnostics::new("test.toml", text.to_owned());
    let outside = Outside { context: &context, env: &env };
    let root = crate::load::checked::<Every>(text, &outside, &mut found);
    match root.and_then(|root| read(&root, &mut found)) {
        Some(every) if found.is_empty() => Ok(every),
        _ => Err(found),
    }
}

fn good(text: &str) -> Every {
    parse(Path::new("/"), text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn bad(text: &str) -> String {
    match parse(Path::new("/"), text) {
        Ok(every) => panic!("accepted {text} as {every:?}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn what_a_variable_holds_stays_one_value() {
    let texts = ["QUOTES", "LINES", "DOLLAR", "TOML", "EMPTY", "FOUR", "TRUE"];
    for name in texts {
        let (_, value) = VARIABLES.iter().find(|(known, _)| *known == name).unwrap();
        let every = good(&format!("text = {{ env = \"{name}\" }}\nlist = [\"a\", {{ env = \"{name}\" }}]"));
        assert_eq!((every.text.as_str(), every.list[1].as_str()), (*value, *value), "{name}");
        assert_eq!(every, Every { text: every.text.clone(), list: every.list.clone(), ..Every::default() });
    }
    println!("{} texts of variables kept", texts.len());
}

#[test]
fn what_a_file_holds_stays_one_value() {
    let dir = tempfile::tempdir().unwrap();
    let contents = [
        "",
        "\n",
        "plain",
        "line\n",
        "two\n\n",
        "dos\r\n",
        "\"quoted\" '''x'''",
        "a = 1\n[t]\n",
        "${HOME}",
        "{ env = \"X\" }",
    ];
    for (index, content) in contents.iter().enumerate() {
        std::fs::write(dir.path().join(format!("{index}.txt")), content).unwrap();
        let every = parse(dir.path(), &format!("text = {{ file = \"{index}.txt\" }}")).unwrap();
        let expected = content.strip_suffix("\r\n").or(content.strip_suffix('\n')).unwrap_or(content);
        assert_eq!(every, Every { text: expected.to_owned(), ..Every::default() });
    }
    std::fs::write(dir.path().join("n"), "12\n").unwrap();
    assert_eq!(parse(dir.path(), "whole = { file = \"n\" }").unwrap().whole, 12);
    println!("{} contents of files kept", contents.len());
}

#[test]
fn what_a_variable_holds_is_read_by_the_type_of_its_field() {
    let every = good(
        "whole = { env = \"FOUR\" }\nsigned = { env = \"MINUS\" }\nnumber = { env = \"SECONDS\" }\nflag = { env = \"TRUE\" }\n\
         every = { env = \"SECONDS\" }\nsize = { env = \"SIZE\" }\nword = { env = \"SKIP\" }",
    );
    let expected = Every {
        whole: 4,
        signed: -4,
        number: 0.05,
        flag: true,
        every: Some(Interval(Duration::from_millis(50))),
        size: Some(Size(3 << 10)),
        word: OnError::Skip,
        ..Every::default()
    };
    assert_eq!(every, expected);
    assert_eq!(good("size = { env = \"FOUR\" }").size, Some(Size(4)));
    assert_eq!(good("number = { env = \"FOUR\" }").number, 4.0);
}

#[test]
fn a_default_holds_when_the_variable_is_not_set() {
    for (default, whole) in [("7", 7), ("\"7\"", 7)] {
        assert_eq!(good(&format!("whole = {{ env = \"NO\", default = {default} }}")).whole, whole);
        assert_eq!(good(&format!("whole = {{ env = \"FOUR\", default = {default} }}")).whole, 4);
    }
    assert_eq!(good("every = { env = \"NO\", default = 2 }").every, Some(Interval(Duration::from_secs(2))));
    assert!(good("flag = { env = \"NO\", default = true }").flag);
    let wrong = bad("whole = { env = \"FOUR\", default = \"many\" }");
    assert!(wrong.contains("`whole` must be a whole number, but this is the text \"many\""), "{wrong}");
}

#[test]
fn a_table_of_free_keys_is_no_reference() {
    let every = good("map = { env = \"FOUR\", default = \"x\" }");
    assert_eq!(every.map["env"], "FOUR");
}

#[test]
fn what_does_not_resolve_names_the_variable_or_file() {
    let cases = [
        ("text = { env = \"NO\" }", "the environment variable NO is not set"),
        ("whole = { env = \"TRUE\" }", "the environment variable TRUE holds the text \"true\""),
        ("whole = { env = \"MINUS\" }", "must be at least 0 (from the environment variable MINUS)"),
        ("flag = { env = \"FOUR\" }", "the environment variable FOUR holds the text \"4\""),
        ("every = { env = \"TRUE\" }", "(from the environment variable TRUE)"),
        ("word = { env = \"TRUE\" }", "(from the environment variable TRUE)"),
        ("list = { env = \"FOUR\" }", "`list` must be a list, but this is a table"),
        ("text = { env = 4 }", "`env` must be the name of an environment variable"),
        ("text = { env = \"FOUR\", defualt = \"x\" }", "unknown key `defualt` in a reference"),
        ("text = { file = \"x\", default = \"y\" }", "unknown key `default` in a reference"),
        ("text = { env = \"NO\", default = { env = \"FOUR\" } }", "`text` must be text, but this is a table"),
        ("text = { file = \"nowhere/x\" }", "cannot read /nowhere/x"),
        ("text = { vault = \"x\" }", "`text` must be text, but this is a table"),
    ];
    for (text, expected) in cases {
        let errors = bad(text);
        assert!(errors.contains(expected) && errors.ends_with("1 error in test.toml"), "{text}\n{errors}");
    }
    println!("{} references refused", cases.len());
}

#[test]
fn secrets_never_show() {
    let cases = [
        // a wrong neighbour in the same line, and the secret itself wrong in every way
        "text = 1\npassword = \"hunter2\"",
        "text = 1 # mysql://user:hunter2@host/db",
        "password = [\"hunter2\"]",
        "password = { vault = \"hunter2\" }",
        "password = { env = \"NO\", default = [\"hunter2\"] }",
        "password = { env = \"NO\", default = \"hunter2\", x = 1 }",
        "pasword = \"hunter2\"",
        "password = \"\"\"\nhunter2\nhunter2\"\"\"\ntext = 1",
        // a file that is not TOML
        "password = \"hunter2",
        "password = hunter2",
        "\"password\" = \"\"\"\nhunter2\n",
        "password = \"hunter2\"\npassword = \"hunter2\"",
        // values that come from elsewhere
        "password = { env = \"PASSWORD\" }\ntext = 1",
        "whole = \"mysql://user:hunter2@host\"",
        "word = \"mysql://user:hunter2/x@host\"",
        "whole = 'mysql://user:\"hunter2\"@host'",
        "whole = \"mysql://user:hunter2?hunter2@host/db\"",
        "whole = \"mysql://user:hunter2 hunter2@host\"",
        "map = { jaas = \"hunter2\" }\ntext = 1",
        // two variables swapped
        "whole = { env = \"PASSWORD\" }",
        "word = { env = \"PASSWORD\" }",
        "every = { env = \"PASSWORD\" }",
        "size = { env = \"LONG_PASSWORD\" }",
        "flag = { env = \"LONG_PASSWORD\" }",
        "every = { env = \"ODD_PASSWORD\" }",
        "whole = { env = \"DB_PASSWORD\", default = \"hunter2\" }",
    ];
    for text in cases {
        for color in [false, true] {
            let errors = parse(Path::new("/"), text).map(|_| ()).unwrap_err();
            let shown = format!("{}{errors:?}", errors.render(color, None));
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
    }
    println!("{} files with a secret shown without it", cases.len());
}

#[test]
fn a_secret_in_the_wrong_place_is_still_said_to_be_wrong() {
    let errors = bad("whole = { env = \"PASSWORD\" }");
    let expected = "`whole` must be a whole number, but the environment variable PASSWORD holds something else";
    assert!(errors.contains(expected), "{errors}");
}

/// Some terminals obey controls of 8 bits as they obey an escape.
#[test]
fn controls_of_a_file_are_not_printed_and_move_nothing() {
    let errors =
        bad("map = { \"\u{9b}31m\" = \"\u{9d}0;x\u{9c}\" }\nlist = [\"\u{9b}\u{85}\", 5]\nword = \"\u{9b}31m\"");
    assert!(!errors.contains(|c| ('\u{80}'..='\u{9f}').contains(&c)), "{errors:?}");
    assert!(errors.contains("--> test.toml:2:15"), "{errors}");
    let lines: Vec<_> = errors.lines().collect();
    let marked = lines.iter().position(|line| line.contains('^')).unwrap();
    let before = |line: &str, what| line.chars().position(|c| c == what);
    assert_eq!(before(lines[marked], '^'), before(lines[marked - 1], '5'), "{errors}");
}

#[test]
fn a_mask_keeps_places() {
    let errors = bad("map = { url = \"mysql://u:secret-and-long@h\" }\nlist = [\"mysql://u:secret-and-long@h\", 5]");
    assert!(errors.contains("--> test.toml:2:40"), "{errors}");
    let lines: Vec<_> = errors.lines().collect();
    let marked = lines.iter().position(|line| line.contains('^')).unwrap();
    assert_eq!(lines[marked].find('^'), lines[marked - 1].rfind('5'), "{errors}");
}

#[test]
fn one_wrong_value_does_not_hide_the_next() {
    let errors =
        bad("every = \"soon\"\nsize = \"big\"\nlist = [1, \"a\", 2]\nwhole = -1\nflag = 1\nnumbr = 2\nword = \"skp\"");
    assert!(errors.ends_with("8 errors in test.toml"), "{errors}");
    let errors = bad("every = \"soon\"\nflag = 1\ntext = \"open\n");
    assert!(errors.ends_with("2 errors in test.toml"), "what stands before a syntax error is checked\n{errors}");
}

#[test]
fn every_table_of_the_file_knows_its_keys() {
    let shape = Shape::of::<Pipeline>().unwrap();
    let (mut tables, mut fields) = (0, 0);
    count(&shape, &mut tables, &mut fields);
    println!("{tables} tables with {fields} keys refuse every other key");
    assert!(tables > 15 && fields > 40, "{tables} tables, {fields} keys");
    // A config without `deny_unknown_fields` has no shape.
    #[derive(Deserialize, JsonSchema)]
    struct Open {
        _x: Option<u32>,
    }
    assert!(Shape::of::<Open>().unwrap_err().contains("unknown keys"));
}

/// In a file that is no TOML nothing but its name tells a secret.
#[test]
fn every_secret_is_known_by_its_name() {
    fn secrets<'a>(shape: &'a Shape, found: &mut Vec<&'a str>) {
        if let Shape::Map(inner) | Shape::List(inner) | Shape::Either(_, inner) = shape {
            secrets(inner, found);
        }
        for field in shape.fields() {
            found.extend(field.shape.is_secret().then_some(field.name.as_str()));
            secrets(&field.shape, found);
        }
    }
    let shape = Shape::of::<Pipeline>().unwrap();
    let mut found = Vec::new();
    secrets(&shape, &mut found);
    assert!(found.len() >= 4 && found.iter().all(|name| crate::diagnostics::mask::names_a_secret(name)), "{found:?}");
    for misspelled in ["pasword", "passwort", "pass_word", "db-passwrd", "sasl.pasword", "PASSWD", "access_token"] {
        assert!(crate::diagnostics::mask::names_a_secret(misspelled), "{misspelled}");
    }
    for other in ["key", "partitions", "cursor", "station_id", "passengers", "ca"] {
        assert!(!crate::diagnostics::mask::names_a_secret(other), "{other}");
    }
}

fn count(shape: &Shape, tables: &mut u32, keys: &mut u32) {
    match shape {
        Shape::Map(inner) | Shape::List(inner) => count(inner, tables, keys),
        Shape::Table { fields, .. } | Shape::Choice(fields) => {
            *tables += 1;
            *keys += fields.len() as u32;
            for field in fields {
                assert!(!field.doc.is_empty(), "{} says nothing about itself", field.name);
                count(&field.shape, tables, keys);
            }
        }
        Shape::Either(_, parts) => count(parts, tables, keys),
        Shape::ListOrTable(list, table) => {
            count(list, tables, keys);
            count(table, tables, keys);
        }
        Shape::Words(_) | Shape::Scalar(_) => {}
    }
}

proptest! {
    /// Whatever is done to a file, its mistakes are found and shown, and no run ends in a panic.
    #[test]
    fn broken_files_are_explained(edits in proptest::collection::vec((any::<Index>(), 0..40_usize, piece()), 1..6)) {
        let mut text: Vec<char> = include_str!("../../../pipelines/weather.toml").chars().collect();
        for (at, length, piece) in &edits {
            let at = at.index(text.len() + 1);
            let end = text.len().min(at + length);
            text.splice(at..end, piece.chars());
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        std::fs::write(&file, text.iter().collect::<String>()).unwrap();
        if let Err(errors) = crate::load::load_with(&file, &|_| Err(VarError::NotPresent)) {
            let shown = errors.to_string();
            prop_assert!(shown.starts_with("error: ") && shown.contains(" in "), "{}", shown);
            prop_assert!(!errors.render(true, None).is_empty());
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    let tokens = [
        "",
        "\n",
        "\r\n",
        "\"",
        "\"\"\"",
        "'",
        "[",
        "]",
        "[[flow]]\n",
        "{",
        "}",
        "=",
        ".",
        ",",
        "#",
        "ß\u{1F600}",
        "://a:b@c",
        "password = ",
        "{ env = \"X\" }",
        "{ file = \"x.toml\" }",
        "1e999",
        "-1",
        "true",
        "[flow.sink.table]\n",
        "\t",
    ];
    proptest::sample::select(tokens.to_vec()).prop_map(str::to_owned)
}
