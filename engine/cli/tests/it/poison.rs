//! Messages that cannot be decoded: the flow fails and names them, leaves them out and counts them, or puts them
//! beside the rows in the same commit. Whatever it does, `verify` accounts for every row.

use crate::common::{Job, assert_generated, both, read_archive};
use arrow::array::{Array, BinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pipeline::load;
use runtime::Halt;
use runtime::Running;
use runtime::plan::Plan;
use sqlx::{Connection, SqliteConnection};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Partition and bytes of each: cut off, not UTF-8, a wrong wire type.
const POISON: [(u32, &[u8]); 3] = [(1, b"\x0a\x0a2000"), (2, b"\x0a\x02\xff\xff"), (1, b"\x0d\x00\x00\x00\x00")];

/// A job whose topic holds all rows, and then the poison; and where that is, as errors name it.
fn poisoned() -> (Job, Vec<String>) {
    let job = Job::new(10, 50, "0", "50ms");
    for flow in ["generate", "publish"] {
        assert!(job.output("run", &["--drain", "--flow", flow]).status.success());
    }
    let topic = format!("sqlite:{}", job.dir.path().join("data/topic.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let places = runtime.block_on(async {
        let mut places = Vec::new();
        let mut connection = SqliteConnection::connect(&topic).await.unwrap();
        for (partition, value) in POISON {
            let append = "INSERT INTO messages (topic, partition, offset, timestamp, value) \
                          SELECT topic, partition, max(offset) + 1, 0, ? FROM messages WHERE partition = ? \
                          RETURNING offset";
            let offset = sqlx::query_scalar(append).bind(value).bind(partition).fetch_one(&mut connection);
            let offset: i64 = offset.await.unwrap();
            places.push(format!("source partition {partition}, position {offset}: "));
        }
        connection.close().await.unwrap();
        places
    });
    (job, places)
}

/// A file with the archive flow alone, into an archive of its own.
fn archive_flow(job: &Job, on_error: &str) -> (PathBuf, PathBuf) {
    let whole = fs::read_to_string(job.file()).unwrap();
    let flow = whole.split("[[flow]]").last().unwrap().split("[[test]]").next().unwrap();
    let flow = flow
        .replace("message = \"weather.Report\"", &format!("message = \"weather.Report\"\non_error = \"{on_error}\""))
        .replace("data/archive", &format!("data/{on_error}"))
        // All is one epoch, which ends with the rows.
        .replace("every = \"50ms\"", "every = \"1h\"");
    let file = job.dir.path().join(format!("pipelines/{on_error}.toml"));
    fs::write(&file, format!("name = \"poisoned\"\n[[flow]]{flow}")).unwrap();
    (file, job.dir.path().join("data").join(on_error))
}

fn weatherflow(arguments: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weatherflow")).args(arguments).arg(file).output().unwrap()
}

#[test]
fn a_failure_is_of_one_stage_though_two_are_of_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("casts.toml");
    let casts = [("degrees", "string"), ("date", "int64")];
    let casts =
        casts.map(|(column, to)| format!("[[flow.transform]]\ncast = {{ columns = {{ {column} = \"{to}\" }} }}\n"));
    let flow = "name = \"casts\"\n[[flow]]\nname = \"f\"\n[flow.source.weather]\nevery = \"0\"\n";
    fs::write(&file, format!("{flow}{}[flow.sink.parquet]\nurl = \"file:out\"\n", casts.concat())).unwrap();
    let plan = Plan::new(load(&file).unwrap(), None, 1).unwrap();
    let failure = Running::new(plan, true, Halt::new()).run().unwrap_err();
    assert_eq!(failure.stage.as_deref(), Some("transform.cast#2"), "{failure}");
}

#[test]
fn fail_names_partition_and_position_and_commits_nothing_of_the_epoch() {
    let (job, places) = poisoned();
    let (file, archive) = archive_flow(&job, "fail");
    let output = weatherflow(&["run", "--drain"], &file);
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    let said = both(&output);
    // Which partition is read first is not promised.
    assert!(places[..2].iter().any(|place| said.contains(place)), "{places:?}: {said}");
    assert!(said.contains("decode.protobuf") && said.contains("on_error"), "{said}");
    let verified = weatherflow(&["verify"], &file);
    assert!(verified.status.success(), "{}", both(&verified));
    assert!(!archive.join("segment=000000").exists(), "the epoch with the poison must not be committed");
}

#[test]
fn skip_leaves_them_out_and_counts_them() {
    let (job, _) = poisoned();
    let (file, archive) = archive_flow(&job, "skip");
    let output = weatherflow(&["run", "--drain"], &file);
    assert!(output.status.success() && both(&output).contains("3 skipped"), "{}", both(&output));
    assert_generated(10, 50, &read_archive(&archive));
    let verified = weatherflow(&["verify"], &file);
    assert!(verified.status.success() && both(&verified).contains("3 skipped"), "{}", both(&verified));
    assert!(both(&verified).contains("the source has 503 rows there"), "{}", both(&verified));
}

#[test]
fn dead_letters_are_part_of_the_commit() {
    let (job, _) = poisoned();
    let (file, archive) = archive_flow(&job, "dead_letter");
    let output = weatherflow(&["run", "--drain"], &file);
    assert!(output.status.success() && both(&output).contains("3 dead letters"), "{}", both(&output));
    assert_generated(10, 50, &read_archive(&archive));
    let verified = weatherflow(&["verify"], &file);
    assert!(verified.status.success() && both(&verified).contains("3 dead letters"), "{}", both(&verified));

    let mut letters = dead_letters(&archive);
    letters.sort();
    let mut poison: Vec<_> = POISON.iter().map(|(partition, raw)| (*partition, raw.to_vec())).collect();
    poison.sort();
    assert_eq!(letters, poison);
}

#[test]
fn a_tap_shows_what_becomes_of_them() {
    let (job, places) = poisoned();
    let tap = |on_error: &str, target: &str, more: &[&str]| {
        let (file, _) = archive_flow(&job, on_error);
        let mut tap = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
        let from: &[&str] = if more.contains(&"--from") { &[] } else { &["--from", "earliest"] };
        tap.arg("tap").arg(file).arg(target).args(from).args(more).output().unwrap()
    };
    let rows = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap().lines().count();

    // Every row before the first that cannot be read, and how to look at that one.
    let failed = tap("fail", "archive", &["--partition", "2"]);
    assert_eq!(failed.status.code(), Some(1), "{}", both(&failed));
    assert!(both(&failed).contains(&places[1]), "{}", both(&failed));
    let position = places[1].rsplit_once("position ").unwrap().1.trim_end_matches(": ");
    assert_eq!(rows(&failed).to_string(), position, "its rows have no gaps");
    let look = format!("archive.source --partition 2 --from {position} --limit 1");
    assert!(both(&failed).contains(&look), "{}", both(&failed));
    let looked = tap("fail", "archive.source", &["--partition", "2", "--from", position, "--limit", "1"]);
    assert_eq!((rows(&looked), looked.status.code()), (1, Some(0)), "{}", both(&looked));
    assert!(both(&looked).contains("\"value\":\"0x0a02ffff\""), "{}", both(&looked));

    let skipped = tap("skip", "archive.decode", &["--limit", "500"]);
    assert!(both(&skipped).contains("500 rows printed"), "{}", both(&skipped));

    let put_aside = tap("dead_letter", "archive", &["--limit", "503"]);
    let said = both(&put_aside);
    assert_eq!((rows(&put_aside), put_aside.status.code()), (500, Some(0)), "{said}");
    assert!(said.contains("500 rows printed, 3 dead letters"), "{said}");
    for (place, (_, raw)) in places.iter().zip(POISON) {
        let place = place.trim_start_matches("source ").trim_end_matches(": ");
        let digits: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let letter = said.lines().find(|line| line.starts_with(&format!("dead letter of {place}: decode.protobuf: ")));
        let bytes = letter.unwrap_or_else(|| panic!("{place}: {said}")).rsplit_once("its bytes: ").unwrap().1;
        assert!(bytes == format!("0x{digits}") || bytes == "\\n\\n2000", "{bytes}");
    }
    let chosen = tap("dead_letter", "archive", &["--limit", "1", "--where", "station_id=station-00"]);
    assert!(!both(&chosen).contains("dead letter of"), "{}", both(&chosen));

    let (file, _) = archive_flow(&job, "dead_letter");
    assert!(weatherflow(&["run", "--drain"], &file).status.success());
    let stored = tap("dead_letter", "archive.sink", &[]);
    assert_eq!((rows(&stored), both(&stored).matches("dead letter of").count()), (500, 3), "{}", both(&stored));
    let chosen = tap("dead_letter", "archive.sink", &["--where", "station_id=station-00"]);
    assert_eq!((rows(&chosen), both(&chosen).matches("dead letter of").count()), (50, 0), "{}", both(&chosen));
}

/// Source partition and bytes of every dead letter below an archive; each must say where it was and why.
fn dead_letters(archive: &Path) -> Vec<(u32, Vec<u8>)> {
    let mut letters = Vec::new();
    for batch in fs::read_dir(archive.join("segment=000000")).unwrap() {
        for file in fs::read_dir(batch.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.starts_with("_dead-letters") == name.ends_with(".dlq"), "{name}");
            if !name.ends_with(".dlq") {
                continue;
            }
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap().build().unwrap();
            for batch in reader {
                letters.extend(letters_of(&batch.unwrap()));
            }
        }
    }
    letters
}

fn letters_of(batch: &RecordBatch) -> Vec<(u32, Vec<u8>)> {
    fn column<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &str) -> &'a A {
        batch.column_by_name(name).unwrap().as_any().downcast_ref().unwrap()
    }
    let (partitions, raw): (&UInt32Array, &BinaryArray) = (column(batch, "source_partition"), column(batch, "raw"));
    let (positions, reasons): (&UInt64Array, &StringArray) = (column(batch, "position"), column(batch, "reason"));
    (0..batch.num_rows())
        .map(|row| {
            assert!(positions.value(row) > 0 && !reasons.value(row).is_empty());
            (partitions.value(row), raw.value(row).to_vec())
        })
        .collect()
}
