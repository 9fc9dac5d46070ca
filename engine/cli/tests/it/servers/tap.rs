//! A tap on real servers changes nothing there, and shows everything.

use super::cluster::{ClusterJob, Layout, ONE, harmed_cluster};
use crate::common::served::wait_for;
use crate::common::{assert_generated, both};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
const TARGETS: [&str; 6] =
    ["publish.source", "publish.encode", "publish", "archive.source", "archive.decode", "archive"];

/// Everything on the servers that a reader could change, or leave behind.
#[derive(Debug, PartialEq)]
struct Places {
    /// Name, state and number of members.
    groups: Vec<(String, String, usize)>,
    /// What the job has shown in its group.
    committed: Vec<(i32, Offset)>,
    /// Name, and the watermarks of each partition.
    topics: Vec<(String, Vec<(i64, i64)>)>,
    files: String,
}

fn committed(job: &ClusterJob<'_>) -> KafkaResult<Vec<(i32, Offset)>> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &job.cluster.brokers).set("group.id", &job.name).create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(&job.name, 0, 3);
    let committed = consumer.committed_offsets(partitions, TIMEOUT)?;
    let mut committed: Vec<_> = committed.elements().iter().map(|at| (at.partition(), at.offset())).collect();
    committed.sort_by_key(|(partition, _)| *partition);
    Ok(committed)
}

fn look(job: &ClusterJob<'_>) -> Places {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &job.cluster.brokers).set("group.id", &job.name).create().unwrap();
    let groups = consumer.fetch_group_list(None, TIMEOUT).unwrap();
    let group =
        |group: &rdkafka::groups::GroupInfo| (group.name().to_owned(), group.state().to_owned(), group.members().len());
    let mut groups: Vec<_> = groups.groups().iter().map(group).collect();
    groups.sort();
    let metadata = consumer.fetch_metadata(None, TIMEOUT).unwrap();
    let watermarks = |topic: &str, partition| consumer.fetch_watermarks(topic, partition, TIMEOUT).unwrap();
    let topic = |topic: &rdkafka::metadata::MetadataTopic| {
        let partitions = topic.partitions().iter().map(|partition| watermarks(topic.name(), partition.id()));
        (topic.name().to_owned(), partitions.collect())
    };
    let mut topics: Vec<(String, Vec<(i64, i64)>)> =
        metadata.topics().iter().filter(|topic| topic.name().contains(&job.name)).map(topic).collect();
    topics.sort();
    let committed = committed(job).unwrap();
    let files = job.cluster.others.command(&["hdfs", "dfs", "-ls", "-R", &format!("/{}", job.name)]);
    Places { groups, committed, topics, files }
}

#[test]
fn a_job_that_is_tapped_everywhere_commits_the_same() {
    // All groups of the brokers are compared: those of other tests would come between.
    let Some((cluster, _servers)) = harmed_cluster() else { return };
    let job = cluster.job(10, 300, "1ms", "200ms", Layout::Batches);
    let file = fs::read_to_string(job.job.file()).unwrap();
    let shown = file.replace("[flow.source.kafka]\n", &format!("[flow.source.kafka]\ngroup = \"{}\"\n", job.name));
    assert_ne!(file, shown);
    fs::write(job.job.file(), shown).unwrap();
    // A cluster that has just started has nobody yet who keeps the offsets of groups.
    wait_for("a coordinator of groups", || committed(&job).ok());

    // They begin before anything is there, and hang on while all of it is written.
    let mut taps = TARGETS.map(|target| {
        let mut tap = job.job.command("tap", &[target, "--from", "earliest"]);
        tap.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    });
    job.finish_and_prove();
    let rows = job.job.stations as usize * job.job.days as usize;
    for (target, tap) in TARGETS.iter().zip(&mut taps) {
        let place = |line: String| {
            let line: Value = serde_json::from_str(&line).unwrap();
            (line["partition"].as_u64().unwrap(), line["position"].as_u64().unwrap())
        };
        let lines = BufReader::new(tap.stdout.as_mut().unwrap()).lines().take(rows);
        let mut places: Vec<_> = lines.map(|line| place(line.unwrap())).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), rows, "{target}: every row once");
    }

    let before = look(&job);
    assert!(before.groups.iter().any(|(name, _, members)| *name == job.name && *members == 0), "{before:?}");
    assert!(
        !before.topics.is_empty() && before.committed.iter().all(|(_, at)| matches!(at, Offset::Offset(1..))),
        "{before:?}"
    );
    for mut tap in taps {
        kill_process(Pid::from_child(&tap), Signal::INT).unwrap();
        assert_eq!(tap.wait().unwrap().code(), Some(0));
    }
    for target in TARGETS {
        for from in [&["--from", "earliest"][..], &["--from", "7", "--partition", "0"]] {
            let output = job.job.output("tap", &[&[target, "--limit", "5"], from].concat());
            assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 5, "{}", both(&output));
        }
    }
    let stored = job.job.output("tap", &["archive.sink"]);
    assert!(stored.status.success(), "{}", both(&stored));
    let mut found: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for line in String::from_utf8(stored.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line["row"][name].as_str().unwrap().to_owned();
        found.entry((text("station_id"), text("date"))).or_default().push(line["row"]["degrees"].as_f64().unwrap());
    }
    assert_generated(job.job.stations, job.job.days, &found);
    assert_eq!(look(&job), before);
    let verified = job.job.output("verify", &[]);
    assert!(verified.status.success(), "{}", both(&verified));
}

#[test]
fn a_position_that_is_gone_is_said_with_what_is_there() {
    let Some(cluster) = &*ONE else { return };
    let job = cluster.job(10, 20, "0", "1h", Layout::Batches);
    for flow in ["generate", "publish"] {
        assert!(job.job.output("run", &["--drain", "--flow", flow]).status.success());
    }
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &job.cluster.brokers).create().unwrap();
    let mut gone = TopicPartitionList::new();
    gone.add_partition_offset(&job.name, 1, Offset::Offset(7)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.delete_records(&gone, &AdminOptions::new())).unwrap();
    let tap =
        |from: &str| job.job.output("tap", &["archive.source", "--partition", "1", "--limit", "1", "--from", from]);
    let refused = tap("3");
    assert_eq!(refused.status.code(), Some(1), "{}", both(&refused));
    let said = both(&refused);
    assert!(said.contains("position 3 is not there: it has partition 1 [7, ") && !said.contains("sink"), "{said}");
    let there = tap("earliest");
    assert!(both(&there).contains("\"position\":7,"), "{}", both(&there));
}
