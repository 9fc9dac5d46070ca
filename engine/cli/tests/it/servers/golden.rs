//! Topics and progress records that earlier versions of the program have written: put into a broker message by message,
//! this one proves them, continues after the last commit, and reads them.

use crate::common::both;
use crate::common::golden::{Golden, READINGS, Reading, reading, versions};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use testkit::servers;
use testkit::wait_for;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A topic as `topics.json` describes it.
#[derive(Deserialize)]
struct Topic {
    name: String,
    id: String,
    partitions: i32,
    /// The offset after the last message or marker of each partition.
    ends: Vec<i64>,
    settings: BTreeMap<String, String>,
}

/// A message as a line of `TOPIC.jsonl`; bytes are hexadecimal.
#[derive(Deserialize)]
struct Line {
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Replaces an id by one of the same length, wherever it is.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let found: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

fn create(brokers: &str, topic: &Topic) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(1));
    for (name, value) in &topic.settings {
        new = new.set(name, value);
    }
    for created in runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap() {
        created.unwrap();
    }
}

/// Sends messages so that each gets its offset again: the marker of a transaction takes the offset after its last message.
fn send(brokers: &str, topic: &Topic, lines: &[Line], change: impl Fn(&[u8]) -> Vec<u8>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", format!("{}-again", topic.name))
        .create()
        .unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    for (partition, end) in (0..).zip(&topic.ends) {
        let mut next = 0;
        let mut of_partition = lines.iter().filter(|line| line.partition == partition).peekable();
        while let Some(first) = of_partition.peek() {
            assert_eq!(first.offset, next, "{}: a transaction that was aborted", topic.name);
            producer.begin_transaction().unwrap();
            while let Some(line) = of_partition.next_if(|line| line.offset == next) {
                let (key, value) = (line.key.as_deref().map(bytes), line.value.as_deref().map(bytes));
                let value = value.map(|value| change(&value));
                let headers = line.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: value.as_deref().map(bytes).as_ref() })
                });
                let mut record: BaseRecord<'_, [u8], [u8]> =
                    BaseRecord::to(&topic.name).partition(partition).timestamp(line.timestamp);
                record.key = key.as_deref();
                record.payload = value.as_deref();
                let record = if line.headers.is_empty() { record } else { record.headers(headers) };
                producer.send(record).map_err(|(error, _)| error).unwrap();
                next += 1;
            }
            producer.commit_transaction(TIMEOUT).unwrap();
            next += 1;
        }
        assert_eq!(next, *end, "{}, partition {partition}", topic.name);
        let high = || producer.client().fetch_watermarks(&topic.name, partition, TIMEOUT).unwrap().1;
        wait_for("the marker of the last transaction", || (high() == next).then_some(()));
    }
}

/// The id that the broker gave a topic, from the checkpoint of a flow that reads it.
fn id(brokers: &str, topic: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.toml");
    let text = format!(
        "name = \"probe\"\n[[flow]]\nname = \"probe\"\n[flow.source.kafka]\nbrokers = \"{brokers}\"\n\
         topic = \"{topic}\"\n[flow.sink.parquet]\nurl = \"file:probe\"\n"
    );
    fs::write(&file, text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_weatherflow"));
    let output = command.arg("run").arg(&file).arg("--drain").output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let checkpoint = folder.path().join("probe/segment=000000/batch=00000000000000000000/_checkpoint.json");
    let checkpoint: Value = serde_json::from_slice(&fs::read(checkpoint).unwrap()).unwrap();
    checkpoint["progress"]["source"].as_str().unwrap().to_owned()
}

/// Makes the topics of a version again, and gives the data topic's id there and now. The broker chooses it, and so the
/// progress records get the new one.
fn recreate(brokers: &str, version: &Path) -> (String, String) {
    let folder = version.join("kafka");
    let topics: Vec<Topic> = serde_json::from_slice(&fs::read(folder.join("topics.json")).unwrap()).unwrap();
    let lines = |topic: &Topic| -> Vec<Line> {
        let text = fs::read_to_string(folder.join(format!("{}.jsonl", topic.name))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (data, others) = topics.split_first().unwrap();
    create(brokers, data);
    send(brokers, data, &lines(data), <[u8]>::to_vec);
    let now = id(brokers, &data.name);
    for topic in others {
        create(brokers, topic);
        send(brokers, topic, &lines(topic), |value| replaced(value, &data.id, &now));
    }
    (data.id.clone(), now)
}

/// What a table in SQLite makes of a reading, where it is not a dead letter.
fn stored(number: i64) -> Option<Reading> {
    let (number, station, degrees, wind, note) = reading(number);
    let degrees = degrees.map(f64::from_bits).filter(|degrees| !degrees.is_nan()).map(|degrees| degrees + 0.0);
    let wind = wind.map(f32::from_bits).filter(|wind| !wind.is_nan()).map(|wind| wind + 0.0);
    (number % 9 != 8).then_some((number, station, degrees.map(f64::to_bits), wind.map(f32::to_bits), note))
}

#[test]
fn messages_and_progress_records_are_continued() {
    let Some(brokers) = servers::kafka() else { return };
    for version in versions() {
        let (there, now) = recreate(&brokers, &version);
        let copy = || {
            let mut golden = Golden::copy(&version, "kafka");
            golden.environment = vec![("KAFKA_BROKERS", brokers.clone())];
            golden
        };
        // The positions of an archive belong to the topic that it has read.
        let refused = copy().output("run", &["--drain", "--flow", "batches"]);
        assert_eq!(refused.status.code(), Some(1), "{}", both(&refused));
        assert!(both(&refused).contains("recreated"), "{}", both(&refused));

        let golden = copy();
        for (path, bytes) in golden.files("data") {
            fs::write(path, replaced(&bytes, &there, &now)).unwrap();
        }
        let rows = |flow: &str| golden.verify()[flow]["rows"].as_u64().unwrap();
        let before = ["publish", "batches", "flat"].map(rows);
        golden.drain();
        let expected: Vec<_> = (0..READINGS).filter_map(stored).collect();
        let after = ["publish", "batches", "flat"].map(rows);
        assert_eq!(after, [expected.len() as u64; 3]);
        assert!(before.iter().all(|rows| (1..after[0]).contains(rows)), "{before:?} rows before, {after:?} after");
        for flow in ["batches", "flat"] {
            assert_eq!(golden.readings(flow), expected, "{flow}");
            assert_eq!(golden.tap(flow), (expected.iter().map(|(number, ..)| *number).collect(), 0), "{flow}");
        }
    }
}
