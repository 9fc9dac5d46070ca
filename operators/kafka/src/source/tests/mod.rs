//! The source against a real broker: a driver that reads like the engine does, and producers of every kind.

mod contract;
mod going_on;
mod inspect;
mod messages;
mod reaching;
mod starting;

use super::KafkaConfig;
use crate::client::{Place, topic};
use arrow::array::{Array, AsArray};
use operators_core::config::Context;
use operators_core::error::{Error, Result};
use operators_core::position::{Anchor, Anchors, Checkpoint, Position, Span};
use operators_core::runtime::wait;
use operators_core::stage::{Read, Reader, Recount, Removal, Share, Source};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use testkit::servers;

const TIMEOUT: Duration = Duration::from_secs(30);

const ALL: Share = Share { index: 0, of: 1 };

/// A topic of its own on the shared broker.
struct World {
    brokers: String,
    topic: String,
}

/// A message as it was read: offset, key, value.
type Seen = (u64, Option<Vec<u8>>, Option<Vec<u8>>);

/// All that a reader gave.
#[derive(Debug, Default)]
struct Given {
    messages: BTreeMap<u32, Vec<Seen>>,
    /// Where each partition stands.
    next: Checkpoint,
    anchors: Anchors,
    /// Where each partition was begun.
    begun: BTreeMap<u32, u64>,
}

impl World {
    fn new(name: &str, partitions: u32, settings: &[(&str, &str)]) -> Option<Self> {
        let world = Self::without_topic(name)?;
        topic::create(&world.place(), partitions, Some(1), settings).unwrap();
        Some(world)
    }

    fn without_topic(name: &str) -> Option<Self> {
        Some(Self { brokers: servers::kafka()?, topic: testkit::unique(name) })
    }

    fn config(&self, more: Value) -> KafkaConfig {
        let mut config = json!({ "brokers": self.brokers, "topic": self.topic });
        if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
            config.extend(more);
        }
        serde_json::from_value(config).unwrap()
    }

    /// The source with these keys beside brokers and topic.
    fn source(&self, more: Value) -> Arc<dyn Source> {
        self.config(more).build(&Context { dir: "/".into() }).unwrap().source
    }

    fn place(&self) -> Place {
        let config = self.config(json!({}));
        Place::new(&config.brokers, None, &config.options, &config.topic, &Context { dir: "/".into() }).unwrap()
    }

    fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("message.timeout.ms", "30000");
        config
    }

    fn send(&self, partition: i32, values: &[&str]) {
        let producer: BaseProducer = self.client_config().create().unwrap();
        self.send_with(&producer, partition, values);
        producer.flush(TIMEOUT).unwrap();
    }

    fn send_with(&self, producer: &BaseProducer, partition: i32, values: &[&str]) {
        for value in values {
            let record = BaseRecord::to(&self.topic).partition(partition).key("k").payload(*value);
            producer.send(record).unwrap();
            producer.poll(Duration::ZERO);
        }
    }

    fn transactional(&self) -> BaseProducer {
        let mut config = self.client_config();
        config.remove("message.timeout.ms").set("transactional.id", testkit::unique("writer"));
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(TIMEOUT).unwrap();
        producer
    }

    /// A transaction of one partition.
    fn transaction(&self, producer: &BaseProducer, partition: i32, values: &[&str], commit: bool) {
        producer.begin_transaction().unwrap();
        self.send_with(producer, partition, values);
        producer.flush(TIMEOUT).unwrap();
        if commit { producer.commit_transaction(TIMEOUT) } else { producer.abort_transaction(TIMEOUT) }.unwrap();
    }

    fn admin<T, E: std::fmt::Debug>(
        &self,
        ask: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> std::result::Result<T, E>,
    ) -> T {
        let admin: AdminClient<_> = self.client_config().create().unwrap();
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        wait(async { Ok(ask(&admin, &options).await.unwrap()) }).unwrap()
    }

    fn delete_topic(&self) {
        let deleted = self.admin(async |admin, options| admin.delete_topics(&[&self.topic], options).await);
        deleted.into_iter().for_each(|one| drop(one.unwrap()));
        let client = topic::Client::new(&self.place(), &[]).unwrap();
        eventually(|| client.topic().unwrap().is_none());
    }

    fn add_partitions(&self, to: usize) {
        let new = [NewPartitions::new(&self.topic, to)];
        self.admin(async |admin, options| admin.create_partitions(&new, options).await);
    }

    /// Removes what is before an offset, as retention does.
    fn delete_before(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset)).unwrap();
        self.admin(async |admin, options| admin.delete_records(&list, options).await);
    }
}

impl Given {
    /// A flow that stands at these positions.
    fn at(from: &Checkpoint) -> Self {
        Self { next: from.clone(), ..Self::default() }
    }

    /// One call of the reader; says whether all is read. Checks what the engine rests on.
    fn read(&mut self, reader: &mut dyn Reader) -> Result<bool> {
        match reader.read()? {
            Read::Rows(chunk, span) => {
                assert_eq!((chunk.source, chunk.len()), (span.partition, span.rows));
                if self.next.position(span.partition).is_none() {
                    self.begun.insert(span.partition, span.from.0);
                }
                self.next.advance(&span).unwrap();
                self.anchors.advance(&span);
                let offsets = chunk.positions.values();
                assert!(offsets.iter().all(|offset| (span.from.0..span.to.0).contains(offset)), "{span}: {offsets:?}");
                assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "{span}: {offsets:?}");
                let bytes = |name| chunk.rows.column_by_name(name).unwrap().as_binary::<i32>();
                let (keys, values) = (bytes("key"), bytes("value"));
                let of =
                    |array: &arrow::array::BinaryArray, row| array.is_valid(row).then(|| array.value(row).to_vec());
                let messages = self.messages.entry(span.partition).or_default();
                messages.extend((0..offsets.len()).map(|row| (offsets[row], of(keys, row), of(values, row))));
                Ok(false)
            }
            Read::CaughtUp(_) => Ok(true),
            Read::Pause(time) => {
                std::thread::sleep(time);
                Ok(false)
            }
            Read::End => panic!("a topic never ends"),
        }
    }

    fn drain(&mut self, reader: &mut dyn Reader) -> Result<()> {
        while !self.read(reader)? {}
        Ok(())
    }

    fn values(&self, partition: u32) -> Vec<String> {
        let text = |(_, _, value): &Seen| String::from_utf8(value.clone().unwrap()).unwrap();
        self.messages.get(&partition).into_iter().flatten().map(text).collect()
    }
}

/// What a run of the whole topic gives, from these positions until it has caught up.
fn run(source: &dyn Source, from: &Checkpoint) -> Result<Given> {
    // As the engine does before a first run.
    if from.0.is_empty() {
        source.starts()?;
    }
    let mut reader = source.open(ALL, from)?;
    let mut given = Given::at(from);
    given.drain(reader.as_mut())?;
    Ok(given)
}

fn checkpoint(positions: &[(u32, u64)]) -> Checkpoint {
    Checkpoint(positions.iter().map(|(partition, next)| (*partition, Position(*next))).collect())
}

fn whole(partition: u32, from: u64, to: u64) -> Span {
    Span { partition, from: Position(from), to: Position(to), rows: 0, anchor: None }
}

/// Waits for what others do in their own time.
fn eventually(mut done: impl FnMut() -> bool) {
    for _ in 0..300 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it never came");
}

/// Reads on until an error ends it.
fn run_into_error(source: &dyn Source, from: &Checkpoint) -> Error {
    run(source, from).expect_err("this must not be read")
}

fn refused(error: &Error, words: &[&str]) {
    let text = error.to_string();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}
