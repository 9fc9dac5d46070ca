//! A table of a server that is not the one that was read.

use crate::common::both;
use std::fs;
use std::process::Command;
use testkit::servers;

/// Nothing but the table's identity tells: it has more rows than were read, with the ids that come next.
#[test]
fn a_table_that_was_filled_anew_between_two_runs_is_refused() {
    let (Some(url), dir) = (servers::mysql(), tempfile::tempdir().unwrap()) else { return };
    let table = testkit::unique("anew").replace('-', "_");
    let sql = |statements: &str| servers::ALL.command(&["sql", &format!("USE CS544; {statements}")]);
    let fill = format!("INSERT INTO {table} (a) SELECT 1 FROM information_schema.collations LIMIT 40");
    sql(&format!("CREATE TABLE {table} (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT); {fill}"));
    let file = dir.path().join("anew.toml");
    let run = |known_as: &str| {
        let text = format!(
            "name = \"anew\"\n[[flow]]\nname = \"copy\"\n[flow.source.table]\nurl = \"{url}\"\ntable = \"{table}\"\n\
             columns = {{ a = \"int32\" }}\n{known_as}\n[flow.sink.parquet]\nurl = \"file:data\"\n"
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
        command.arg("run").arg(&file).arg("--drain").output().unwrap()
    };
    let first = run("");
    assert!(first.status.success(), "{}", both(&first));

    sql(&format!("TRUNCATE {table}; {fill}; {fill}"));
    let refused = run("");
    let text = both(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("recreated") && text.contains("every row is still there"), "{text}");

    // Whoever knows better says so, with the words of the error, and it holds.
    let known_as = text.split_once("known_as = [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let known_as = known_as.split_whitespace().collect::<Vec<_>>().join(" ");
    for _ in 0..2 {
        let told = run(&format!("known_as = [{known_as}]"));
        assert!(told.status.success(), "{}", both(&told));
    }
    sql(&format!("DROP TABLE {table}"));
}
