//! Pipeline files: the wrong ones and what is said about them, and those that people start from.
use crate::common::tests;
use pipeline::load;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::project;

/// Files with one ending in a folder, by name. Paths are relative to the package, where cargo runs its tests.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|is| is == extension)).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Every mistake as people see it. A difference fails the test; `INSTA_UPDATE=always` takes it over, to be reviewed.
#[test]
fn wrong_files_are_explained() {
    let root = project().display().to_string();
    let wrong = files("tests/wrong", "toml");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(tests().join("snapshots"));
    let mut errors = 0;
    let mut failed = Vec::new();
    settings.bind(|| {
        for file in &wrong {
            let Err(found) = load(file) else { panic!("{} was accepted", file.display()) };
            let text = found.to_string();
            assert!(!text.contains("hunter2"), "{} shows a password\n{text}", file.display());
            let last = text.lines().last().unwrap();
            errors += last.split(' ').next().unwrap().parse::<u32>().unwrap();
            // Some messages name places by their absolute path.
            let text = text.replace(&root, "ROOT");
            let compared = std::panic::catch_unwind(|| insta::assert_snapshot!(stem(file), text));
            failed.extend(compared.is_err().then(|| stem(file)));
        }
    });
    println!("{} wrong files, {errors} mistakes explained", wrong.len());
    assert!(failed.is_empty(), "other words than the snapshots for {}", failed.join(", "));
    assert!(wrong.len() >= 60);
    let stems = |files: Vec<PathBuf>| files.iter().map(|path| stem(path)).collect::<BTreeSet<_>>();
    assert_eq!(stems(files("tests/snapshots", "snap")), stems(wrong), "snapshots and wrong files differ");
}

/// It is said once, and the file is accepted.
#[test]
fn a_database_in_a_directory_of_parquet_files_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let warnings = |database: &str| {
        let text = format!(
            "name = \"x\"\n[[flow]]\nname = \"a\"\n[flow.source.weather]\n[flow.sink.table]\nurl = \"sqlite:{database}\"\n\
             table = \"t\"\n[[flow]]\nname = \"b\"\n[flow.source.table]\nurl = \"sqlite:{database}\"\ntable = \"t\"\n\
             cursor = \"id\"\ncolumns = {{ date = \"string\" }}\n[flow.sink.parquet]\nurl = \"file:data/archive\"\n"
        );
        std::fs::write(&file, text).unwrap();
        load(&file).unwrap_or_else(|errors| panic!("{errors}")).warnings
    };
    for outside in ["data/x.db", "data/archive2/x.db", "data/archive.db"] {
        assert_eq!(warnings(outside), [""; 0], "{outside}");
    }
    let [warning] = &warnings("data/archive/x.db")[..] else { panic!("{:?}", warnings("data/archive/x.db")) };
    assert!(
        warning.contains("data/archive/x.db lies in the directory") && warning.contains("keep it elsewhere"),
        "{warning}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_weatherflow")).arg("check").arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.lines().any(|line| line.starts_with("warning: the database ")), "{said}");
}

#[test]
fn every_pipeline_file_of_the_repository_is_accepted() {
    let pipelines = files("../../pipelines", "toml");
    for file in &pipelines {
        let loaded = load(file).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.built.len(), loaded.pipeline.flow.len());
    }
    println!("{} pipeline files accepted", pipelines.len());
    assert!(!pipelines.is_empty());
}

/// Stages say what is wrong with a value in words of their own.
#[test]
fn a_secret_that_came_to_the_wrong_key_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mysql-password"), "hunter2\n").unwrap();
    let file = folder.path().join("x.toml");
    let text = "name = \"x\"\n[[flow]]\nname = \"x\"\n[flow.source.table]\nurl = { file = \"mysql-password\" }\n\
                table = \"t\"\ncolumns = { n = { file = \"mysql-password\" } }\n[flow.partition.round_robin]\n\
                partitions = { file = \"mysql-password\" }\n[flow.sink.parquet]\nurl = \"file:x\"\n";
    let url = "[flow.source.table]\nurl = { file = \"mysql-password\" }\ntable = \"t\"\ncolumns = { n = \"string\" }\n";
    let text_of_url = format!("name = \"x\"\n[[flow]]\nname = \"x\"\n{url}[flow.sink.parquet]\nurl = \"file:x\"\n");
    for (text, expected) in
        [(text.to_owned(), "mysql-password holds something else"), (text_of_url, "`***` does not say")]
    {
        std::fs::write(&file, text).unwrap();
        let Err(errors) = load(&file) else { panic!("a password is no database") };
        let shown = errors.to_string();
        assert!(shown.contains(expected) && !shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let Err(errors) = load(Path::new("tests/wrong/nowhere.toml")) else { panic!("there is no such file") };
    let text = errors.to_string();
    assert!(text.starts_with("error: cannot read tests/wrong/nowhere.toml: "), "{text}");
    assert!(text.ends_with("1 error in tests/wrong/nowhere.toml"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let good = "name = \"x\"\n[[flow]]\nname = \"x\"\n[flow.source.weather]\n[flow.sink.parquet]\nurl = \"file:x\"\n";
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let wrong = [
        (b"name = \"\xff\"".to_vec(), "x.toml:1:9"),
        (b"name = \"x\"\n# gr\xf6\xdfe".to_vec(), "x.toml:2:5"),
        ([vec![0xFF, 0xFE], utf_16(good)].concat(), "is UTF-16 text"),
        (b"PAR1\x00\x01\x02".to_vec(), "is no text"),
        ("\u{FEFF}nam = 1".as_bytes().to_vec(), "x.toml:1:1"),
    ];
    for (bytes, expected) in &wrong {
        std::fs::write(&file, bytes).unwrap();
        let Err(errors) = load(&file) else { panic!("accepted {bytes:?}") };
        assert!(errors.to_string().contains(expected), "{errors}");
    }
    let Err(errors) = load(folder.path()) else { panic!("this is a directory") };
    let text = errors.to_string();
    assert!(text.contains("is a directory") && text.contains("x.toml"), "{text}");
    std::fs::write(&file, format!("\u{FEFF}{}", good.replace('\n', "\r\n"))).unwrap();
    load(&file).unwrap_or_else(|errors| panic!("{errors}"));
}

/// The column decides what the text of a variable or file is, as the file cannot.
#[test]
fn text_from_elsewhere_compares_with_columns_of_any_type() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let compare = |column: &str, value: &str| {
        let text = format!(
            "name = \"x\"\n[[flow]]\nname = \"x\"\n[flow.source.table]\nurl = \"sqlite:x.db\"\ntable = \"x\"\n\
             columns = {{ text = \"string\", whole = \"int32\", number = \"float64\", flag = \"bool\", day = \"date\" }}\n\
             [[flow.transform]]\nfilter = {{ column = \"{column}\", eq = {{ env = \"WEATHERFLOW_TEST_UNSET\", default = \"{value}\" }} }}\n\
             [flow.sink.parquet]\nurl = \"file:out\"\n"
        );
        std::fs::write(&file, text).unwrap();
        load(&file).map(|_| ()).map_err(|errors| errors.to_string())
    };
    for (column, value) in [("text", "4"), ("whole", "4"), ("number", "0.5"), ("flag", "true"), ("day", "2000-01-01")] {
        compare(column, value).unwrap_or_else(|errors| panic!("{errors}"));
    }
    for (column, value) in [("whole", "0.5"), ("number", "warm"), ("flag", "yes"), ("day", "today")] {
        let errors = compare(column, value).expect_err(value);
        assert!(errors.contains("does not compare"), "{errors}");
    }
    // Loading builds every stage and leaves no trace of it.
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["x.toml"]);
}

/// What the built flows say about themselves, for the main job.
#[test]
fn the_main_job_is_built_in_order() {
    let loaded = load(Path::new("../../pipelines/weather.toml")).unwrap();
    let stages: Vec<Vec<_>> = loaded
        .built
        .iter()
        .map(|flow| {
            let between = flow.stages.iter().map(|stage| stage.name.as_str());
            std::iter::once(flow.source_name.as_str()).chain(between).chain([flow.sink_name.as_str()]).collect()
        })
        .collect();
    assert_eq!(
        stages,
        [
            vec!["source.weather", "sink.table"],
            vec!["source.table", "encode.protobuf", "partition.key", "sink.topic"],
            vec!["source.topic", "decode.protobuf", "transform.select", "partition.source", "sink.parquet"],
        ]
    );
    // Each flow reads where the one before it writes.
    for pair in loaded.built.windows(2) {
        assert_eq!(pair[0].sink.place, pair[1].source.place);
    }
    let archive = &loaded.built[2].fingerprint.0;
    assert_eq!(archive["source.topic.topic"], "temperatures");
    assert!(archive["sink.columns"].starts_with("station_id: string"), "{}", archive["sink.columns"]);
}

#[test]
fn brokers_and_starts_have_several_spellings() {
    let keys = [
        "brokers = \"a:9092\"",
        "brokers = \"b:9092, a:9092\"",
        "brokers = [\"b:9092\", \"a:9092\"]",
        "brokers = [{ env = \"NO_SUCH_BROKER\", default = \"a:9092\" }]",
        "brokers = { env = \"NO_SUCH_BROKERS\", default = \"a:9092,b:9092\" }",
        "brokers = \"a:9092\"\nstart = \"latest\"",
        "brokers = \"a:9092\"\nstart = { env = \"NO_SUCH_START\", default = \"earliest\" }",
        "brokers = \"a:9092\"\nstart = { timestamp = \"2026-01-01T00:00:00+02:00\" }",
        "brokers = \"a:9092\"\nstart = { offsets = { 0 = 17, 1 = 42 } }",
        "brokers = \"a:9092\"\noptions = { \"fetch.min.bytes\" = 1, \"socket.keepalive.enable\" = true, \"client.rack\" = \"x\" }",
        "brokers = \"a:9092\"\ncolumns = [\"headers\", \"timestamp\", \"value\", \"key\"]\ngroup = \"g\"",
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let mut places = BTreeSet::new();
    for keys in keys {
        let text = format!(
            "name = \"n\"\n[[flow]]\nname = \"f\"\n[flow.source.kafka]\ntopic = \"t\"\n{keys}\n\
             [flow.sink.parquet]\nurl = \"file:out\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let loaded = load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        places.insert(loaded.built[0].source.place.clone());
    }
    let expected = ["kafka:a:9092#topic t", "kafka:a:9092,b:9092#topic t"];
    assert_eq!(places.into_iter().collect::<Vec<_>>(), expected, "one cluster is one place however it is spelt");
}
