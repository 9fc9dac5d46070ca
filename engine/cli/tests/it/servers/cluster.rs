//! The main job on real servers, with a proxy before each of them, and readers of all three places that use nothing of
//! the product.

use crate::common::{Job, assert_generated, read_archive, tests};
use prost::Message;
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use stages::source::weather::{WeatherConfig, expected};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testkit::project;
use testkit::proxy::Proxy;
use testkit::servers::{ALL, CLUSTER, Harmed, Servers, harmed};
use testkit::unique;

/// One broker, and three; each with proxies that last as long as this process, as their ports are agreed on.
pub static ONE: LazyLock<Option<Cluster>> = LazyLock::new(|| Cluster::new(&ALL, &ALL));

/// Three brokers that only one test uses, and the rest of the servers that all share.
pub static THREE: LazyLock<Option<Cluster>> = LazyLock::new(|| Cluster::new(&CLUSTER, &ALL));

/// What a test holds while its cluster is its own.
pub struct Turn {
    _servers: Harmed,
    _turn: MutexGuard<'static, ()>,
}

/// One broker with HDFS and MySQL that no other test uses meanwhile; `None` where this machine cannot run them. One such
/// test at a time: a job on servers that come and go keeps a core busy.
pub fn harmed_cluster() -> Option<(&'static Cluster, Turn)> {
    static CLUSTERS: Mutex<BTreeMap<&str, &Cluster>> = Mutex::new(BTreeMap::new());
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let harmed = harmed();
    let servers = harmed.servers();
    let mut clusters = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
    // Its proxies last as long as this program, as their ports are agreed on.
    let cluster = match clusters.get(servers.name()) {
        Some(cluster) => cluster,
        None => {
            let cluster: &Cluster = Box::leak(Box::new(Cluster::new(servers, servers)?));
            clusters.insert(servers.name(), cluster);
            cluster
        }
    };
    Some((cluster, Turn { _servers: harmed, _turn: turn }))
}

/// Servers, and the proxies through which the job reaches them.
pub struct Cluster {
    kafka: &'static Servers,
    pub others: &'static Servers,
    pub brokers: String,
    hadoop_conf: String,
    pub proxies: Vec<(&'static str, Proxy)>,
}

fn port(address: &str) -> u16 {
    let digits = address.rsplit_once(':').unwrap().1;
    digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

impl Cluster {
    /// Kafka of one set of servers and the rest of another; `None`, said loudly, where this machine cannot run them.
    pub fn new(kafka: &'static Servers, others: &'static Servers) -> Option<Self> {
        let brokers = kafka.variable("kafka", "KAFKA_BROKERS")?;
        let mysql = port(&others.variable("mysql", "MYSQL_URL")?);
        let namenode = port(&others.variable("hdfs", "HDFS_URL")?);
        let hadoop_conf = others.variable("hdfs", "HADOOP_CONF_DIR")?;
        let mut proxies = vec![("mysql", Proxy::start(0, mysql)), ("namenode", Proxy::start(0, namenode))];
        // A broker says itself where it is reached, and so its proxies have ports that were agreed on. A DataNode can name
        // no port but the one it listens on, and so none stands before a DataNode.
        let proxied = |broker: &str| Proxy::start(port(broker) + 5, port(broker) + 4);
        proxies.extend(brokers.split(',').map(|broker| ("kafka", proxied(broker))));
        Some(Self { kafka, others, brokers, hadoop_conf, proxies })
    }

    /// The processes that can be killed and paused.
    pub fn names(&self) -> Vec<String> {
        let brokers = (1..=self.brokers.split(',').count()).map(|number| format!("broker{number}"));
        let others = ["namenode", "datanode1", "datanode2", "datanode3", "mysql"].map(str::to_owned);
        brokers.chain(others).collect()
    }

    pub fn control(&self, action: &str, server: &str) {
        if server.starts_with("broker") { self.kafka } else { self.others }.control(action, server);
    }

    /// Starts servers side by side; returns when all are ready.
    pub fn start(&self, names: &[&str]) {
        let (brokers, others): (Vec<&str>, Vec<_>) = names.iter().partition(|name| name.starts_with("broker"));
        for (servers, names) in [(self.kafka, brokers), (self.others, others)] {
            if !names.is_empty() {
                servers.command(&[&["start"], &names[..]].concat());
            }
        }
    }

    /// Leaves the jobs no room on HDFS for one block more.
    pub fn set_quota(&self, jobs: &[&ClusterJob<'_>]) {
        self.admin(&["-setSpaceQuota", "1m"], jobs);
    }

    /// There is room again.
    pub fn clear_quota(&self, jobs: &[&ClusterJob<'_>]) {
        self.admin(&["-clrSpaceQuota"], jobs);
    }

    fn admin(&self, action: &[&str], jobs: &[&ClusterJob<'_>]) {
        let directories: Vec<_> = jobs.iter().map(|job| format!("/{}", job.name)).collect();
        let directories = directories.iter().map(String::as_str);
        let arguments: Vec<_> = ["hdfs", "dfsadmin"].iter().chain(action).copied().chain(directories).collect();
        self.others.command(&arguments);
    }

    /// The job in a table, a topic and a directory of its own, reaching every server through its proxy.
    pub fn job(&self, stations: u32, days: u32, every: &str, commit: &str, layout: Layout) -> ClusterJob<'_> {
        let name = unique("weather").replace('-', "_");
        let mut job = Job::of("weather-cluster.toml", stations, days, every, commit, |file| {
            let file = file.replace("\"temperatures\"", &format!("\"{name}\""));
            let file = file.replace("name = \"weather\"\n", &format!("name = \"{}\"\n", name.replace('_', "-")));
            match layout {
                Layout::Batches => file,
                Layout::Flat => file.replace("# layout = \"flat\"", "layout = \"flat\""),
            }
        });
        let of = |kind| self.proxies.iter().filter(move |(name, _)| *name == kind).map(|(_, proxy)| proxy.port);
        let brokers: Vec<_> = of("kafka").map(|port| format!("127.0.0.1:{port}")).collect();
        job.environment = vec![
            ("MYSQL_URL", format!("mysql://root@127.0.0.1:{}/CS544", of("mysql").next().unwrap())),
            ("MYSQL_PASSWORD", "abc".to_owned()),
            ("KAFKA_REPLICATION", brokers.len().to_string()),
            ("KAFKA_BROKERS", brokers.join(",")),
            ("HDFS_URL", format!("hdfs://127.0.0.1:{}/{name}", of("namenode").next().unwrap())),
            ("HADOOP_CONF_DIR", self.hadoop_conf.clone()),
            ("HADOOP_USER_NAME", "weatherflow".to_owned()),
        ];
        ClusterJob { cluster: self, job, name, layout }
    }
}

/// How the archive lies on HDFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Batches,
    Flat,
}

pub struct ClusterJob<'c> {
    pub cluster: &'c Cluster,
    pub job: Job,
    pub name: String,
    pub layout: Layout,
}

/// What pyarrow reads there; `None`, said loudly, where it is not installed.
fn pyarrow(directory: &Path) -> Option<String> {
    let python = project().join("target/python/bin/python");
    if !python.exists() {
        crate::common::skipped(&format!("pyarrow did not read the files, there is no {}", python.display()));
        return None;
    }
    let output = Command::new(python).arg(tests().join("it/common/count.py")).arg(directory).output().unwrap();
    assert!(output.status.success(), "pyarrow: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A message as its schema has it, declared anew.
#[derive(Clone, PartialEq, Message)]
struct Report {
    #[prost(string, tag = "1")]
    date: String,
    #[prost(double, tag = "2")]
    degrees: f64,
    #[prost(string, tag = "3")]
    station_id: String,
}

impl ClusterJob<'_> {
    /// Runs to the end of the input at full speed, verifies, and compares every row of the table, the topic and the
    /// archive with what the generator must have produced.
    pub fn finish_and_prove(&self) {
        self.job.hurry();
        self.job.finish();
        self.prove_table();
        self.prove_topic();
        self.prove_archive();
    }

    fn rows(&self) -> u64 {
        u64::from(self.job.stations) * u64::from(self.job.days)
    }

    fn config(&self) -> WeatherConfig {
        WeatherConfig { stations: self.job.stations, ..WeatherConfig::default() }
    }

    /// MariaDB's own client: rows in the order of their ids are rows in the order they were generated.
    fn prove_table(&self) {
        let query = format!("SELECT station_id, date, degrees FROM CS544.{} ORDER BY id", self.name);
        let table = self.cluster.others.command(&["sql", &query]);
        let mut lines = table.lines().skip(1);
        for row in 0..self.rows() {
            let (station, date, degrees) = expected(&self.config(), row);
            let line = lines.next().unwrap_or_else(|| panic!("the table ends before row {row}"));
            let found: Vec<_> = line.split('\t').collect();
            assert_eq!(found[..2], [station, date], "row {row}");
            assert_eq!(found[2].parse::<f64>().unwrap(), degrees, "row {row}");
        }
        assert_eq!(lines.next(), None, "rows nobody generated");
    }

    /// A read_committed consumer sees each row once, each station in one partition and there in order.
    fn prove_topic(&self) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.cluster.brokers)
            .set("group.id", &self.name)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..4 {
            partitions.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let mut found: BTreeMap<String, (i32, Vec<(String, f64)>)> = BTreeMap::new();
        let mut ended = 0;
        while ended < 4 {
            match consumer.poll(Duration::from_secs(30)).expect("the topic's end or a message") {
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
                Ok(message) => {
                    let report = Report::decode(message.payload().unwrap()).unwrap();
                    assert_eq!(message.key().unwrap(), report.station_id.as_bytes());
                    let (partition, rows) = found.entry(report.station_id).or_insert((message.partition(), Vec::new()));
                    assert_eq!(*partition, message.partition(), "a station has one partition");
                    rows.push((report.date, report.degrees));
                }
            }
        }
        let mut expected_rows: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
        for row in 0..self.rows() {
            let (station, date, degrees) = expected(&self.config(), row);
            expected_rows.entry(station).or_default().push((date, degrees));
        }
        let found: BTreeMap<_, _> = found.into_iter().map(|(station, (_, rows))| (station, rows)).collect();
        for (station, rows) in &expected_rows {
            assert_eq!(found.get(station), Some(rows), "messages of {station}");
        }
        assert_eq!(found.len(), expected_rows.len(), "stations nobody simulated");
    }

    /// A copy of the files, made by Hadoop's own shell.
    fn prove_archive(&self) {
        let copy = self.copy_archive();
        assert_generated(self.job.stations, self.job.days, &read_archive(copy.path()));
        let cents = |row| (expected(&self.config(), row).2 * 100.0).round() as i64;
        let sum: i64 = (0..self.rows()).map(cents).sum();
        if let Some(counted) = pyarrow(copy.path()) {
            assert_eq!(
                counted,
                format!("{0} {0} {sum}", self.rows()),
                "rows, distinct rows, sum as pyarrow reads them"
            );
        }
    }

    /// The archive as Hadoop's own shell gives it.
    pub fn copy_archive(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        let to = copy.path().join("copy");
        self.cluster.others.command(&["hdfs", "dfs", "-get", &format!("/{}", self.name), to.to_str().unwrap()]);
        for entry in std::fs::read_dir(&to).unwrap() {
            let entry = entry.unwrap();
            std::fs::rename(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        std::fs::remove_dir(to).unwrap();
        copy
    }
}
