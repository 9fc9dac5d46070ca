//! `weatherflow test`: the tests in the repository's own files pass, and each kind of expectation can fail.

use crate::common::both;
use std::process::{Command, Output};

/// Runs the tests of files; paths are relative to the package.
fn test(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weatherflow")).arg("test").args(arguments).output().unwrap()
}

#[test]
fn the_pipeline_files_of_the_repository_pass_their_own_tests() {
    let output = test(&["../../pipelines/weather.toml", "../../pipelines/weather-cluster.toml"]);
    let text = both(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(", 0 failed") && text.contains("runs)"), "{text}");
    println!("{text}");
}

#[test]
fn every_kind_of_expectation_can_fail() {
    let output = test(&["tests/trials/failing.toml"]);
    assert_eq!(output.status.code(), Some(1));
    crate::common::assert_kept("trials", "failing", &both(&output));
    // The same test gives the same verdict, word for word.
    assert_eq!(both(&test(&["tests/trials/failing.toml"])), both(&output));
}

#[test]
fn a_filter_leaves_the_others_out() {
    let output = test(&["tests/trials/failing.toml", "--filter", "doubled"]);
    let text = both(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("0 passed, 1 failed, 6 left out"), "{text}");
}

/// Nothing of what the file names is touched: no database, no directory, no server.
#[test]
fn nothing_outside_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"
        name = "x"

        [[flow]]
        name = "files"
        [flow.source.table]
        url = "mysql://nobody@nowhere.invalid/x"
        password = "hunter2"
        table = "t"
        columns = { n = "int64" }
        [flow.sink.parquet]
        url = "hdfs://nowhere.invalid:9000/data"

        [[flow]]
        name = "rows"
        [flow.source.weather]
        [flow.sink.table]
        url = "sqlite:here.db"
        table = "t"

        [[flow]]
        name = "messages"
        [flow.source.weather]
        seed = 1
        [flow.encode.json]
        [flow.partition.round_robin]
        partitions = 3
        [flow.sink.kafka]
        brokers = "nowhere.invalid:9092"
        topic = "t"
    "#;
    let test_of = |flow| {
        format!("[[test]]\nname = \"t\"\nflow = \"{flow}\"\nrows = 10\ncrash = \"during commit 0\"\nexpect.rows = 10\n")
    };
    let tests: String = ["files", "rows", "messages"].map(test_of).concat();
    let file = dir.path().join("x.toml");
    std::fs::write(&file, format!("{text}\n{tests}")).unwrap();
    let output = test(&[file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", both(&output));
    assert!(!both(&output).contains("hunter2"));
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["x.toml"]);
}
