//! `check --connect` and `status` on servers: what they say of places that are there, missing, closed or silent, and that
//! asking leaves everything as it was.

use crate::common::{Job, both};
use crate::inspect::{assert_says, pipeline, status, weatherflow};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::fs;
use std::time::Duration;
use testkit::servers;
use testkit::unique;

/// Everything that the servers hold of a job: offsets of every topic with its name, rows of the tables, HDFS with all
/// its times.
fn held(name: &str) -> Vec<String> {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers::kafka().unwrap()).create().unwrap();
    let wait = Duration::from_secs(30);
    let mut held = Vec::new();
    for topic in client.fetch_metadata(None, wait).unwrap().topics().iter().filter(|t| t.name().contains(name)) {
        for partition in topic.partitions() {
            let (low, high) = client.fetch_watermarks(topic.name(), partition.id(), wait).unwrap();
            held.push(format!("{} {} {low} {high}", topic.name(), partition.id()));
        }
    }
    let sql = |query: &str| servers::ALL.command(&["sql", query]);
    held.push(sql(&format!("SELECT count(*), sum(id), max(id) FROM CS544.{name}")));
    held.push(sql(&format!("SELECT * FROM CS544.weatherflow_progress WHERE flow LIKE '{}%'", name.replace('_', "-"))));
    held.push(sql(&format!("SHOW TABLES IN CS544 LIKE '%{name}%'")));
    held.push(servers::ALL.command(&["hdfs", "dfs", "-ls", "-R", &format!("/{name}")]));
    held
}

#[test]
fn servers_tell_where_a_job_stands_and_stay_as_they_are() {
    let Some(brokers) = servers::kafka() else { return };
    let variable = |kind, name| servers::ALL.variable(kind, name).unwrap();
    let name = unique("told").replace('-', "_");
    let mut job = Job::of("weather-cluster.toml", 5, 40, "0", "100ms", |file| {
        let file = file.replace("\"temperatures\"", &format!("\"{name}\""));
        file.replace("name = \"weather\"\n", &format!("name = \"{}\"\n", name.replace('_', "-")))
    });
    job.environment = vec![
        ("KAFKA_BROKERS", brokers),
        ("KAFKA_REPLICATION", "1".to_owned()),
        ("MYSQL_URL", variable("mysql", "MYSQL_URL")),
        ("MYSQL_PASSWORD", variable("mysql", "MYSQL_PASSWORD")),
        ("HDFS_URL", format!("{}/{name}", servers::hdfs().unwrap())),
        ("HADOOP_CONF_DIR", variable("hdfs", "HADOOP_CONF_DIR")),
        ("HADOOP_USER_NAME", "weatherflow".to_owned()),
    ];
    let checked = both(&job.output("check", &["--connect"]));
    assert_says(&checked, &["1 broker answers", "answers at mysql://", "encrypted with TLS", "not there yet"]);
    assert!(!checked.contains("FAILED") && !checked.contains("abc"), "{checked}");

    let drained = job.output("run", &["--drain"]);
    assert!(drained.status.success(), "{}", both(&drained));
    let before = held(&name);
    let checked = both(&job.output("check", &["--connect"]));
    assert_says(
        &checked,
        &["may read and write", "allowed: READ, WRITE", "may be written to", "goes on after version"],
    );
    assert!(!checked.contains("not yet") && !checked.contains("FAILED"), "{checked}");
    assert_says(&both(&job.output("status", &[])), &["200 committed", "caught up", " ago", "files"]);
    let output = job.output("status", &["--json"]);
    assert_eq!(held(&name), before, "a look changed something");

    let flows = status(&output);
    for flow in &flows {
        assert_eq!((&flow["last_commit"]["rows"]["written"], flow["last_commit"]["at"].is_u64()), (&200.into(), true));
    }
    assert_eq!((&flows[1]["partitions"][0]["position"], &flows[2]["behind"]["rows"]), (&201.into(), &0.into()));
    assert!(flows[2]["files"]["count"].as_u64().unwrap() >= 4, "{}", flows[2]);

    // An incompatible change of the file: the stored positions don't apply.
    let file = fs::read_to_string(job.file()).unwrap();
    fs::write(job.file(), file.replace("cursor = \"id\"", "cursor = \"other\"")).unwrap();
    let output = job.output("status", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_says(&both(&output), &["cursor was `id` and is now `other`", "archive: version"]);
}

/// Nobody listens there any more.
fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn every_place_is_asked_whatever_is_wrong_with_another() {
    let Some(brokers) = servers::kafka() else { return };
    let (url, hdfs) = (servers::ALL.variable("mysql", "MYSQL_URL").unwrap(), servers::hdfs().unwrap());
    let (name, dir) = (unique("closed").replace('-', "_"), tempfile::tempdir().unwrap());
    let sql = |query: &str| servers::ALL.command(&["sql", query]);
    sql(&format!(
        "CREATE TABLE CS544.{name} (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT); CREATE USER {name} IDENTIFIED BY \
         'cloudy'; GRANT SELECT, CREATE ON CS544.* TO {name}"
    ));
    servers::ALL.command(&["hdfs", "dfs", "-mkdir", &format!("/{name}")]);
    let url = url.replace("root@", &format!("{name}@"));
    let down = nobody();
    let file = pipeline(
        dir.path(),
        &format!(
            r#"
name = "closed"
[[flow]]
name = "grants"
[flow.source.kafka]
brokers = "{down}"
topic = "t"
columns = ["timestamp"]
[[flow.transform]]
select = {{ columns = ["timestamp"], rename = {{ timestamp = "a" }} }}
[flow.sink.table]
url = "{url}"
password = "cloudy"
table = "{name}"
[[flow]]
name = "password"
[flow.source.table]
url = "{url}"
password = "hunter2"
table = "{name}"
columns = {{ a = "int32" }}
[flow.sink.parquet]
url = "{hdfs}/{name}"
[[flow]]
name = "topic"
[flow.source.kafka]
brokers = "{brokers}"
topic = "{name}"
[flow.sink.parquet]
url = "file:archive"
[[flow]]
name = "fine"
[flow.source.weather]
[flow.sink.topic]
url = "sqlite:topic.db"
topic = "t"
"#
        )
        .replace(
            "[flow.source.weather]\n",
            "[flow.source.weather]\n[flow.encode.json]\n[flow.partition.round_robin]\npartitions = 2\n",
        ),
    );
    let stranger = [("HADOOP_USER_NAME", "stranger")];
    let output = weatherflow(&["check", "--connect"], &file, &stranger);
    let said = both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_says(
        &said,
        &[
            &format!("FAILED   topic t on {down}"),
            "INSERT command denied",
            "Access denied for user",
            "user=stranger, access=WRITE",
            "no flow of this file makes it",
            "topic.db is not there yet",
            "5 things in the way of a run",
        ],
    );
    assert!(!said.contains("hunter2") && !said.contains("cloudy"), "{said}");

    let output = weatherflow(&["status"], &file, &stranger);
    let said = both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_says(&said, &["grants: nothing", "password: nothing", "problem", &down, "Access denied", "topic: nothing"]);
    assert!(!said.contains("hunter2") && !said.contains("cloudy"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was made beside the file");
    sql(&format!("DROP USER {name}; DROP TABLE CS544.{name}"));
}
