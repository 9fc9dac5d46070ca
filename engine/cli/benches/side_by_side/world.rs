//! Where the legs run: directories, pipeline files, servers, and the topic they read.

use crate::process::{self, weatherflow};
use operators_core::config::Interval;
use stages::source::weather::{WeatherConfig, expected};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use testkit::servers::BENCH;
use testkit::{project, unique};

/// Stations that report: enough for each of four partitions to have about as many.
pub const STATIONS: u32 = 40;

/// What all legs of a run share.
pub struct World {
    pub rounds: usize,
    pub rows: u64,
    dir: tempfile::TempDir,
    topic: OnceLock<Topic>,
}

/// A topic that has been filled.
#[derive(Clone)]
pub struct Topic {
    pub brokers: String,
    pub name: String,
    pub rows: u64,
}

impl World {
    pub fn new(rounds: usize, rows: u64) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { rounds, rows, dir, topic: OnceLock::new() }
    }

    /// An empty directory in place of whatever was there.
    pub fn empty(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        process::settle(self.dir.path());
        path
    }

    /// A pipeline file in a directory.
    pub fn pipeline(&self, directory: &Path, flows: &[String]) -> PathBuf {
        let file = directory.join("pipeline.toml");
        std::fs::write(&file, format!("name = \"bench\"\n\n{}", flows.join("\n"))).unwrap();
        file
    }

    /// The broker's address.
    pub fn brokers(&self) -> String {
        server("kafka", "KAFKA_BROKERS")
    }

    /// Reports in four partitions of a topic, keyed by station: made with the first call.
    pub fn topic(&self) -> &Topic {
        self.topic.get_or_init(|| self.fill(&unique("reports"), self.rows))
    }

    /// Fills a topic with Reports.
    pub fn fill(&self, name: &str, rows: u64) -> Topic {
        let brokers = self.brokers();
        let dir = self.empty(&format!("fill-{name}"));
        let file = self.pipeline(&dir, &[format!(
            "[[flow]]\nname = \"fill\"\n{weather}{ENCODE}\n[flow.partition.key]\ncolumn = \"station_id\"\npartitions = \
             4\n\n[flow.sink.kafka]\nbrokers = \"{brokers}\"\ntopic = \"{name}\"\ncreate = {{}}\n",
            weather = weather(rows),
            ENCODE = protobuf("encode"),
        )]);
        eprintln!("  filling the topic {name} with {rows} Reports");
        process::run(&mut weatherflow(&["run", "--drain"], &file));
        Topic { brokers, name: name.to_owned(), rows }
    }
}

/// The weather of all legs.
pub fn weather_config() -> WeatherConfig {
    WeatherConfig { stations: STATIONS, every: Interval(Duration::ZERO), ..WeatherConfig::default() }
}

/// A source of exactly so many rows, which must be whole days of all stations.
pub fn weather(rows: u64) -> String {
    let config = weather_config();
    let (first, last) = (expected(&config, 0).1, expected(&config, rows - 1).1);
    assert_eq!(rows % u64::from(STATIONS), 0, "rows come in whole days of {STATIONS} stations");
    format!(
        "[flow.source.weather]\nstations = {STATIONS}\nfirst_day = \"{first}\"\nlast_day = \"{last}\"\nevery = \"0s\"\n\n"
    )
}

/// The stage that encodes or decodes Reports.
pub fn protobuf(kind: &str) -> String {
    let schema = project().join("proto/report.proto");
    format!("[flow.{kind}.protobuf]\nschema = \"{}\"\nmessage = \"weather.Report\"\n", schema.display())
}

/// The flow that archives a topic.
pub fn archive(topic: &Topic, every: &str, url: &str) -> String {
    let Topic { brokers, name, .. } = topic;
    format!(
        "[[flow]]\nname = \"archive\"\ncommit = {{ every = \"{every}\" }}\n\n[flow.source.kafka]\nbrokers = \
         \"{brokers}\"\ntopic = \"{name}\"\ncolumns = [\"value\"]\n\n{decode}\n[[flow.transform]]\nselect = {{ columns = [\"station_id\", \
         \"date\", \"degrees\"] }}\n\n[flow.partition.source]\n\n[flow.sink.parquet]\nurl = \"{url}\"\ncompression = \
         \"zstd\"\n",
        decode = protobuf("decode"),
    )
}

/// The flow that publishes a table.
pub fn publish(table: &str, topic: &Topic, every: &str) -> String {
    let Topic { brokers, name, .. } = topic;
    format!(
        "[[flow]]\nname = \"publish\"\ncommit = {{ every = \"{every}\" }}\n\n[flow.source.table]\n{at}cursor = \"id\"\n\
         columns = {{ station_id = \"string\", date = \"string\", degrees = \"float64\" }}\n\n{encode}\n\
         [flow.partition.key]\ncolumn = \"station_id\"\npartitions = 4\n\n[flow.sink.kafka]\nbrokers = \"{brokers}\"\n\
         topic = \"{name}\"\ncreate = {{}}\n",
        at = database_table(table),
        encode = protobuf("encode"),
    )
}

/// Where a table is, as source and sink have it.
pub fn database_table(table: &str) -> String {
    let (url, password) = (server("mysql", "MYSQL_URL"), server("mysql", "MYSQL_PASSWORD"));
    format!("url = \"{url}\"\npassword = \"{password}\"\ntls = {{ mode = \"disabled\" }}\ntable = \"{table}\"\n")
}

/// Where the database is, as other clients have it.
pub fn database_url() -> String {
    let (url, password) = (server("mysql", "MYSQL_URL"), server("mysql", "MYSQL_PASSWORD"));
    format!("{}?ssl-mode=DISABLED", url.replace("root@", &format!("root:{password}@")))
}

/// What the environment of a pipeline has to hold for a kind of server.
pub fn server(kind: &str, name: &str) -> String {
    BENCH.variable(kind, name).unwrap_or_else(|| panic!("the legs need {kind}"))
}

/// Adds what a client of HDFS reads from its environment.
pub fn hdfs_environment(command: &mut Command) -> &mut Command {
    command.env("HADOOP_CONF_DIR", server("hdfs", "HADOOP_CONF_DIR")).env("HADOOP_USER_NAME", "weatherflow")
}
