//! The sink on a real broker, and a reader that is not ours.

mod audit;
mod contract;
mod crashes;
mod fences;
mod inspect;
mod lost_answers;
mod progress;
mod proxy;
mod queue;
mod topics;

use super::failpoint::{Failpoints, Moment};
use super::{Create, Kafka, KafkaConfig, KafkaSink};
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, UInt64Array};
use operators_core::chunk::Chunk;
use operators_core::config::Context;
use operators_core::position::{Checkpoint, Position};
use operators_core::progress::{Commit, Progress, Run};
use operators_core::replay::{self, FLOW, PARTITIONS, STEP, run};
use operators_core::schema::Schema;
use operators_core::stage::Sink;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Headers;
use rdkafka::metadata::MetadataPartition;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use testkit::servers;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A topic of its own on the shared broker.
struct World {
    brokers: String,
    topic: String,
}

impl World {
    /// `None` where there is no broker.
    fn new(name: &str) -> Option<Self> {
        Some(Self { brokers: servers::kafka()?, topic: testkit::unique(name) })
    }

    fn config(&self) -> KafkaConfig {
        KafkaConfig {
            brokers: serde_json::from_value(self.brokers.as_str().into()).unwrap(),
            security: None,
            options: Default::default(),
            topic: self.topic.clone(),
            create: Some(Create { partitions: None, replication: Some(1) }),
        }
    }

    fn kafka(&self) -> Kafka {
        self.config().kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).unwrap()
    }

    fn sink(&self) -> KafkaSink {
        KafkaSink(Arc::new(self.kafka()))
    }

    fn sink_with(&self, failpoints: Failpoints) -> KafkaSink {
        KafkaSink(Arc::new(Kafka { failpoints, ..self.kafka() }))
    }

    /// A sink whose file sets one of the library's settings.
    fn kafka_with(&self, name: &str, value: u64) -> Kafka {
        let options = serde_json::from_value(serde_json::json!({ name: value })).unwrap();
        let config = KafkaConfig { options, ..self.config() };
        config.kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).unwrap()
    }

    fn of_flow(&self, what: &str) -> String {
        format!("{}.weather.test.{what}", self.topic)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    fn admin<T>(
        &self,
        work: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> Result<T, KafkaError>,
    ) -> T {
        let admin: AdminClient<_> = self.client().create().unwrap();
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        operators_core::runtime::wait(async { Ok(work(&admin, &options).await) }).unwrap().unwrap()
    }

    fn delete(&self, topic: &str) {
        self.admin(async |admin, options| admin.delete_topics(&[topic], options).await);
        let client: BaseConsumer = self.client().create().unwrap();
        // Deleted for the controller is not yet deleted for the brokers.
        while client.fetch_metadata(Some(topic), TIMEOUT).unwrap().topics()[0].error().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Leaves nothing behind: hundreds of topics are a burden to a broker that other tests share.
    fn remove(self) {
        let own = ["progress", "dead_letters"].map(|what| self.of_flow(what));
        let topics = [&self.topic, &own[0], &own[1]].map(String::as_str);
        self.admin(async |admin, options| admin.delete_topics(&topics, options).await);
    }

    /// Messages of a topic as any other program sees them, in the order of partitions and offsets.
    fn messages(&self, topic: &str, isolation: &str) -> Vec<Seen> {
        let mut config = self.client();
        config.set("group.id", "reader").set("enable.auto.commit", "false").set("isolation.level", isolation);
        config.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
        let mut open: BTreeSet<i32> = metadata.topics()[0].partitions().iter().map(MetadataPartition::id).collect();
        let mut list = TopicPartitionList::new();
        for &partition in &open {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut seen = Vec::new();
        while !open.is_empty() {
            match consumer.poll(TIMEOUT) {
                Some(Ok(message)) => seen.push(Seen {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: message.headers().map_or(0, Headers::count),
                }),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                other => panic!("{topic}: {other:?}"),
            }
        }
        seen.sort_by_key(|seen| (seen.partition, seen.offset));
        seen
    }

    fn committed(&self) -> Vec<Seen> {
        self.messages(&self.topic, "read_committed")
    }

    /// The topic, its dead letters and its progress are as one run without trouble would have left them.
    fn assert_holds(&self, batches: u64, why: &str) {
        let seen: Vec<_> = self.committed().into_iter().map(|m| (m.partition, m.key, m.value)).collect();
        assert_eq!(seen, expected(batches), "{why}");
        let rejected: Vec<_> = match batches {
            0 => Vec::new(),
            _ => self.messages(&self.of_flow("dead_letters"), "read_committed"),
        };
        assert_eq!(rejected.len() as u64, 2 * batches, "{why}");
        let last = self.sink().progress(FLOW).unwrap();
        assert_eq!(last.as_ref().map_or(0, |last| last.version.0 + 1), batches, "{why}");
        let Some(last) = last else { return };
        assert_eq!(last.positions, positions(batches), "{why}");
        assert_eq!(last.totals.written, 2 * (STEP - 1) * batches, "{why}");
    }
}

/// A message.
#[derive(Debug)]
struct Seen {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: usize,
}

fn schema() -> Schema {
    Schema::from_arrow(rows(0, 0..1).rows.schema())
}

fn key(position: u64) -> Option<Vec<u8>> {
    (position % 5 != 2).then(|| position.to_be_bytes().to_vec())
}

fn value(source: u32, position: u64) -> Option<Vec<u8>> {
    (position % 7 != 6).then(|| format!("{source}:{position}").into_bytes())
}

/// Rows of a source partition: a pure function of their positions, with nulls among keys and values.
fn rows(source: u32, positions: std::ops::Range<u64>) -> Chunk {
    let keys: BinaryArray = positions.clone().map(key).collect();
    let values: BinaryArray = positions.clone().map(|position| value(source, position)).collect();
    let columns: [(&str, ArrayRef); 2] = [("key", Arc::new(keys)), ("value", Arc::new(values))];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    Chunk::new(source, UInt64Array::from_iter_values(positions), batch)
}

fn positions(batches: u64) -> Checkpoint {
    Checkpoint([(0, Position(batches * STEP)), (1, Position(batches * STEP))].into())
}

/// Partition, key and value.
type Sent = (i32, Option<Vec<u8>>, Option<Vec<u8>>);

/// All that so many batches hold, in the order of partitions.
fn expected(batches: u64) -> Vec<Sent> {
    let mut all = Vec::new();
    for partition in 0..u64::from(PARTITIONS) {
        for batch in 0..batches {
            for source in 0..2 {
                let mine = (0..STEP - 1).filter(|row| row % u64::from(PARTITIONS) == partition);
                let mine = mine.map(|row| batch * STEP + row);
                all.extend(mine.map(|position| (partition as i32, key(position), value(source, position))));
            }
        }
    }
    all
}

/// The batch that follows a commit.
fn batch(sink: &dyn Sink, run: &Run, last: Option<&Progress>, attempt: u64) -> Commit {
    replay::batch(sink, run, last, attempt, rows)
}

/// Commits one batch after the other until `batches` are there; returns how far it came.
fn drive(sink: &dyn Sink, run: &Run, batches: u64) -> operators_core::Result<Option<Progress>> {
    replay::drive(sink, run, batches, rows)
}
