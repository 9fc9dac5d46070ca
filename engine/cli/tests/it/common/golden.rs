//! Data that earlier versions of the program have written, and what their rows are; `tests/golden/README.md` says how
//! that was made.
use crate::common::{both, parquet_files, tests};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Rows of every table of readings.
pub const READINGS: i64 = 80;

/// A row of a reading: its number, station, degrees and wind as bits, and note.
pub type Reading = (i64, String, Option<u64>, Option<u32>, Option<String>);

/// What the reading of a number holds, in a pipeline whose float columns can hold a NaN.
pub fn reading(number: i64) -> Reading {
    let degrees =
        [Some(21.5), Some(f64::NAN), Some(-0.0), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None, Some(-3.25)];
    let wind = [Some(f32::NEG_INFINITY), Some(1.5), None, Some(f32::NAN), Some(-0.0)];
    let note = [None, Some(format!("sunny \u{2600} {number}")), Some(String::new())];
    let at = usize::try_from(number).unwrap();
    (
        number,
        format!("station-{}", number % 5),
        degrees[at % 7].map(f64::to_bits),
        wind[at % 5].map(f32::to_bits),
        note[at % 3].clone(),
    )
}

/// A message without bytes, or one that is cut off.
pub fn is_unreadable(number: i64) -> bool {
    number % 17 == 16 || number % 9 == 8
}

/// A copy of what one version left of one pipeline.
pub struct Golden {
    dir: tempfile::TempDir,
    pipeline: &'static str,
    /// What the pipeline file reads from its environment.
    pub environment: Vec<(&'static str, String)>,
}

/// The folder of each version.
pub fn versions() -> Vec<PathBuf> {
    let entries = fs::read_dir(tests().join("golden")).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

impl Golden {
    pub fn copy(version: &Path, pipeline: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&version.join(pipeline), dir.path());
        Self { dir, pipeline, environment: Vec::new() }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The archive that a flow writes.
    pub fn archive(&self, flow: &str) -> PathBuf {
        self.path("data").join(flow)
    }

    pub fn output(&self, command: &str, arguments: &[&str]) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
        process.arg(command).arg(self.path(&format!("{}.toml", self.pipeline))).args(arguments);
        process.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        process.output().unwrap()
    }

    /// Runs to the end of the input.
    pub fn drain(&self) {
        let drained = self.output("run", &["--drain"]);
        assert!(drained.status.success(), "{}: {}", self.pipeline, both(&drained));
    }

    /// The account of every flow, none of which has a finding.
    pub fn verify(&self) -> BTreeMap<String, Value> {
        let output = self.output("verify", &["--json"]);
        assert!(output.status.success(), "{}: {}", self.pipeline, both(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        let accounts = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        accounts.map(|account| (account["flow"].as_str().unwrap().to_owned(), account)).collect()
    }

    /// The numbers of the rows that a tap shows of a flow's sink, in order, and how many dead letters it tells of.
    pub fn tap(&self, flow: &str) -> (Vec<i64>, usize) {
        let output = self.output("tap", &[&format!("{flow}.sink"), "--format", "json"]);
        assert!(output.status.success(), "{}: {}", self.pipeline, both(&output));
        let rows = String::from_utf8(output.stdout).unwrap();
        let row = |line| serde_json::from_str::<Value>(line).unwrap()["row"]["number"].as_i64().unwrap();
        let mut numbers: Vec<_> = rows.lines().map(row).collect();
        numbers.sort_unstable();
        (numbers, String::from_utf8(output.stderr).unwrap().matches("dead letter of partition").count())
    }

    /// The rows of the archive of a flow, read by nothing of the product, in the order of their numbers.
    pub fn readings(&self, flow: &str) -> Vec<Reading> {
        // Dead letters of earlier versions have the same ending.
        let is_rows = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().starts_with("partition-");
        let files = parquet_files(&self.archive(flow)).into_iter().filter(is_rows);
        let files = files.map(|file| File::open(file).unwrap());
        let batches = files.flat_map(|file| ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap());
        let mut rows: Vec<_> = batches.flat_map(|batch| rows(&batch.unwrap())).collect();
        rows.sort();
        rows
    }

    /// Every file below a path, with what is in it.
    pub fn files(&self, path: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path(path)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false => drop(found.insert(entry.clone(), fs::read(&entry).unwrap())),
                }
            }
        }
        found
    }
}

fn rows(batch: &RecordBatch) -> Vec<Reading> {
    let column = |name| batch.column_by_name(name).unwrap();
    let (numbers, stations) = (column("number").as_primitive::<Int64Type>(), column("station").as_string::<i32>());
    let (degrees, winds) =
        (column("degrees").as_primitive::<Float64Type>(), column("wind").as_primitive::<Float32Type>());
    let notes = column("note").as_string::<i32>();
    let row = |row| {
        (
            numbers.value(row),
            stations.value(row).to_owned(),
            degrees.is_valid(row).then(|| degrees.value(row).to_bits()),
            winds.is_valid(row).then(|| winds.value(row).to_bits()),
            notes.is_valid(row).then(|| notes.value(row).to_owned()),
        )
    };
    (0..batch.num_rows()).map(row).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
