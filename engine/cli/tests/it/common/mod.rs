//! What several integration tests need: a pipeline in a folder of its own, the built binary, and an independent
//! reader that uses nothing of the product.
pub mod browser;
pub mod golden;
pub mod served;
pub mod verified;
pub mod world;

use arrow::array::{Array, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;
use stages::source::weather::{WeatherConfig, expected};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use testkit::project;

/// The main job in a folder of its own.
pub struct Job {
    pub dir: tempfile::TempDir,
    pub stations: u32,
    pub days: u32,
    pipeline: &'static str,
    every: String,
    /// What the pipeline file reads from its environment.
    pub environment: Vec<(&'static str, String)>,
}

impl Job {
    /// On embedded parts. `every` is the pause per day; every flow commits at `commit`.
    pub fn new(stations: u32, days: u32, every: &str, commit: &str) -> Self {
        Self::of("weather.toml", stations, days, every, commit, |file| file)
    }

    /// Of a pipeline of the project, changed as said.
    pub fn of(
        pipeline: &'static str,
        stations: u32,
        days: u32,
        every: &str,
        commit: &str,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = project();
        fs::create_dir(dir.path().join("proto")).unwrap();
        fs::copy(root.join("proto/report.proto"), dir.path().join("proto/report.proto")).unwrap();
        fs::create_dir(dir.path().join("pipelines")).unwrap();
        let file = fs::read_to_string(root.join("pipelines").join(pipeline)).unwrap();
        let last = last_day(days);
        let file = file
            .replace("stations = 10\n", &format!("stations = {stations}\nlast_day = \"{last}\"\n"))
            .replace("{ env = \"AUTOGRADER_DELAY_OVERRIDE_VAL\", default = \"0.1s\" }", &format!("\"{every}\""))
            .replace("every = \"1s\"", &format!("every = \"{commit}\""))
            .replace("every = \"10s\"", &format!("every = \"{commit}\""));
        assert!(file.contains(&last) && !file.contains("\"10s\""), "{pipeline} has changed its form");
        fs::write(dir.path().join("pipelines").join(pipeline), change(file)).unwrap();
        Self { dir, stations, days, pipeline, every: every.to_owned(), environment: Vec::new() }
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("pipelines").join(self.pipeline)
    }

    pub fn archive(&self) -> PathBuf {
        self.dir.path().join("data/archive")
    }

    /// From now on without a pause per day.
    pub fn hurry(&self) {
        let paced = fs::read_to_string(self.file()).unwrap();
        let hurried = paced.replace(&format!("\nevery = \"{}\"\n", self.every), "\nevery = \"0\"\n");
        assert_ne!(paced, hurried, "{} has changed its form", self.pipeline);
        fs::write(self.file(), hurried).unwrap();
    }

    /// The binary with these arguments and the pipeline file after the first.
    pub fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
        process.arg(command).arg(self.file()).args(arguments).current_dir(self.dir.path());
        process.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        process
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command("run", arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn output(&self, command: &str, arguments: &[&str]) -> Output {
        self.command(command, arguments).output().unwrap()
    }

    /// Runs to the end of the input, verifies, and compares every row with what the generator must have produced.
    pub fn finish_and_prove(&self) {
        self.finish();
        assert_generated(self.stations, self.days, &read_archive(&self.archive()));
    }

    /// What `verify` says when it could read all: a server that was slow to answer proves nothing, and is asked again.
    pub fn verify(&self, arguments: &[&str]) -> Output {
        for _ in 0..10 {
            let output = self.output("verify", arguments);
            let is_unread = ["not proved: ", "\"error\":"].iter().any(|said| both(&output).contains(said));
            if output.status.success() || !is_unread {
                return output;
            }
        }
        self.output("verify", arguments)
    }

    /// Runs to the end of the input, and verifies.
    pub fn finish(&self) {
        let drained = self.output("run", &["--drain"]);
        assert!(drained.status.success(), "drain: {}", both(&drained));
        let verified = self.verify(&[]);
        assert!(verified.status.success(), "verify: {}", both(&verified));
        assert!(both(&verified).contains("nothing lost, nothing doubled"), "{}", both(&verified));
    }
}

/// The folder of what tests compare with and read.
pub fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Compares text with what is kept in a folder of `tests`; `INSTA_UPDATE=always` takes it over, to be reviewed.
pub fn assert_kept(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(tests().join(folder));
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Says that a test left something out, past the capture of the test harness; where everything is installed it fails.
pub fn skipped(what: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}; .ci/run installs it");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

pub fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The last of so many days from 2000-01-01 on.
fn last_day(days: u32) -> String {
    let config = WeatherConfig { stations: 1, ..WeatherConfig::default() };
    expected(&config, u64::from(days) - 1).1
}

/// All rows below an archive's segments, by station and date, with every value found for them.
pub fn read_archive(archive: &Path) -> BTreeMap<(String, String), Vec<f64>> {
    let mut rows = BTreeMap::new();
    for file in parquet_files(archive) {
        read_file(File::open(&file).unwrap(), &mut rows);
    }
    rows
}

/// Adds the rows of one Parquet file.
pub fn read_file(file: impl ChunkReader + 'static, rows: &mut BTreeMap<(String, String), Vec<f64>>) {
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let (stations, dates) = (strings(&batch, "station_id"), strings(&batch, "date"));
        let degrees = batch.column_by_name("degrees").unwrap();
        let degrees = degrees.as_any().downcast_ref::<Float64Array>().unwrap();
        for row in 0..batch.num_rows() {
            let key = (stations.value(row).to_owned(), dates.value(row).to_owned());
            rows.entry(key).or_default().push(degrees.value(row));
        }
    }
}

/// Every row of the generator once, with its value; no other.
pub fn assert_generated(stations: u32, days: u32, found: &BTreeMap<(String, String), Vec<f64>>) {
    let config = WeatherConfig { stations, ..WeatherConfig::default() };
    let rows = u64::from(stations) * u64::from(days);
    for row in 0..rows {
        let (station, date, degrees) = expected(&config, row);
        let there = found.get(&(station.clone(), date.clone()));
        assert_eq!(there, Some(&vec![degrees]), "row {row}, {station} on {date}");
    }
    assert_eq!(found.len() as u64, rows, "rows nobody generated");
}

fn strings(batch: &RecordBatch, column: &str) -> StringArray {
    let plain = cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
    StringArray::from(plain.to_data())
}

/// Every file that ends in `.parquet`, wherever it lies.
pub fn parquet_files(archive: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![archive.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "parquet" => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}
