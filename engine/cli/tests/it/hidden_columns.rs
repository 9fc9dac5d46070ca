//! Columns that readers would hide are refused in a new archive and accepted in one that has them, by every command.
use files::sink::{Compression, Layout, ParquetSink};
use files::store::local::Local;
use operators_core::Checkpoint;
use operators_core::position::Anchors;
use operators_core::progress::{Commit, Progress, Run, Tally, Version};
use operators_core::stage::{Closing, Read, Share, Sink};
use pipeline::load;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

const DAYS: &str = "first_day = \"2000-01-01\"\nlast_day = \"2003-12-31\"\nevery = \"0\"";

/// A flow whose sink has a column `batch`.
fn pipeline(dir: &Path, more: &str) -> PathBuf {
    let file = dir.join("x.toml");
    let text = format!(
        "name = \"x\"\n[[flow]]\nname = \"f\"\n[flow.source.weather]\n{DAYS}\n[[flow.transform]]\n\
         select = {{ columns = [\"station_id\", \"degrees\"], rename = {{ station_id = \"batch\" }} }}\n{more}\n"
    );
    fs::write(&file, text).unwrap();
    file
}

fn weatherflow(arguments: &[&str], file: &Path) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_weatherflow")).args(arguments).arg(file).output().unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code().unwrap(), said)
}

const COMMANDS: [&[&str]; 4] = [&["check"], &["check", "--connect"], &["run", "--dry-run"], &["run", "--drain"]];

const SINK: &str = "[flow.sink.parquet]\nurl = \"file:data\"";

#[test]
fn a_new_archive_is_refused_until_the_column_is_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let file = pipeline(dir.path(), SINK);
    let mut advice = String::new();
    for command in COMMANDS {
        let (status, said) = weatherflow(command, &file);
        assert!(status == 2 && said.contains("readers would hide column `batch`"), "{command:?}: {status}\n{said}");
        advice = said.split('`').find(|part| part.starts_with("select = ")).unwrap().to_owned();
    }
    assert!(!dir.path().join("data").exists(), "nothing is written");
    let file = pipeline(dir.path(), &format!("[[flow.transform]]\n{advice}\n{SINK}"));
    for command in COMMANDS {
        let (status, said) = weatherflow(command, &file);
        assert!(status == 0 && !said.contains("warning"), "{command:?}: {status}\n{said}");
    }
}

#[test]
fn the_flat_layout_hides_no_column() {
    let dir = tempfile::tempdir().unwrap();
    let file = pipeline(dir.path(), &format!("{SINK}\nlayout = \"flat\""));
    for command in COMMANDS {
        let (status, said) = weatherflow(command, &file);
        assert!(status == 0 && !said.contains("warning"), "{command:?}: {status}\n{said}");
    }
}

#[test]
fn an_archive_that_has_the_column_goes_on_and_check_says_how_to_read_it() {
    let dir = tempfile::tempdir().unwrap();
    commit_with_the_column(dir.path());
    let file = pipeline(dir.path(), SINK);
    for command in COMMANDS {
        let (status, said) = weatherflow(command, &file);
        let is_check = command[0] == "check";
        assert_eq!((status, said.contains("warning: f: sink.parquet: ")), (0, is_check), "{command:?}:\n{said}");
        let readers = ["partitioning=None", "hive_partitioning=False", "recursiveFileLookup"];
        assert!(!is_check || readers.iter().all(|reader| said.contains(reader)), "{said}");
    }
    let (status, said) = weatherflow(&["verify"], &file);
    assert!(status == 0 && said.contains("14,610 rows"), "{status}\n{said}");
}

/// The first commit of the flow, as a version made it that did not look at the names of columns.
fn commit_with_the_column(dir: &Path) {
    let elsewhere = pipeline(dir, "[flow.sink.parquet]\nurl = \"file:elsewhere\"\nlayout = \"flat\"");
    let flow = load(&elsewhere).unwrap_or_else(|errors| panic!("{errors}")).built.remove(0);
    let stage = &flow.stages[0].built;
    let store = Arc::new(Local::new(dir.join("data")));
    let sink = ParquetSink::new(store, "data".to_owned(), &stage.schema, Compression::Zstd, Layout::Batches);
    let run = Run { id: "old".to_owned(), flow: flow.id.clone() };
    let mut committer = sink.open(&run).unwrap().committer;
    let mut reader = flow.source.source.open(Share { index: 0, of: 1 }, &Checkpoint::default()).unwrap();
    let Read::Rows(rows, span) = reader.read().unwrap() else { panic!("no rows") };
    let mut writer = sink.writer(&run, 0).unwrap();
    for chunk in stage.stage.handle().apply(rows).unwrap().rows {
        writer.write(chunk).unwrap();
    }
    let fingerprint = flow.fingerprint;
    let closing = Closing { spans: vec![span], fingerprint: fingerprint.clone(), ..Closing::default() };
    let receipts = vec![writer.close(&closing).unwrap()];
    let tally = Tally { read: span.rows, written: span.rows, ..Tally::default() };
    let mut positions = Checkpoint::default();
    positions.advance(&span).unwrap();
    let (version, anchors) = (Version::FIRST, Anchors::default());
    let progress = Progress { version, run, fingerprint, source: None, positions, anchors, totals: tally };
    committer.commit(Commit { progress, spans: vec![span], tally, attempt: 0, receipts }).unwrap();
}
