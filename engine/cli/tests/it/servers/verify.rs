//! `verify` and sources on real servers: retention, deleted rows, and others under the same name.

use crate::common::verified::Pipeline;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;
use std::time::Duration;
use testkit::servers;
use testkit::{unique, wait_for};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A topic on the shared broker.
struct Topic {
    brokers: String,
    name: String,
    runtime: tokio::runtime::Runtime,
}

impl Topic {
    /// With ten messages in each partition.
    fn filled(name: &str, partitions: i32) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let topic = Self { brokers: servers::kafka()?, name: unique(name), runtime };
        topic.fill(partitions);
        Some(topic)
    }

    fn source(&self, more: &str) -> String {
        format!("[flow.source.kafka]\nbrokers = \"{}\"\ntopic = \"{}\"\n{more}", self.brokers, self.name)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    fn fill(&self, partitions: i32) {
        let new = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let created = self.runtime.block_on(self.admin().create_topics([&new], &options)).unwrap();
        assert!(created.iter().all(Result::is_ok), "{created:?}");
        self.send(partitions);
    }

    fn send(&self, partitions: i32) {
        let producer: BaseProducer = self.config().create().unwrap();
        for number in 0..10 * partitions {
            let value = number.to_string();
            producer
                .send(BaseRecord::<str, str>::to(&self.name).partition(number % partitions).payload(&value))
                .unwrap();
        }
        producer.flush(TIMEOUT).unwrap();
    }

    fn delete(&self) {
        self.runtime.block_on(self.admin().delete_topics(&[&self.name], &AdminOptions::new())).unwrap();
        let consumer: BaseConsumer = self.config().create().unwrap();
        wait_for("the end of the topic", || {
            let metadata = consumer.fetch_metadata(None, TIMEOUT).unwrap();
            metadata.topics().iter().all(|topic| topic.name() != self.name).then_some(())
        });
    }

    /// Removes the messages before an offset, as retention does.
    fn delete_before(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset)).unwrap();
        self.runtime.block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    }
}

#[test]
fn retention_is_no_loss_and_a_recreated_topic_proves_nothing() {
    let Some(topic) = Topic::filled("verified", 2) else { return };
    let pipeline = Pipeline::new(&topic.source(""));
    pipeline.drain();
    pipeline.assert_proved(20);
    topic.delete_before(1, 4);
    let partition = json!({ "partition": 1, "counted": 6, "removed": 4, "by": "retention" });
    pipeline.assert_explained(
        "partition 1: 6 left, 4 removed by retention",
        &json!({ "fewer": { "counted": 16, "removed": 4, "partitions": [partition] } }),
    );
    topic.delete_before(1, 10);
    topic.send(2);
    let partition = json!({ "partition": 1, "counted": 0, "removed": 10, "by": "retention" });
    pipeline.assert_explained(
        "the source has 10 rows there, 10 were removed",
        &json!({ "fewer": { "counted": 10, "removed": 10, "partitions": [partition] } }),
    );

    // No broker answers there: nothing is proved.
    pipeline.edit(&topic.brokers, "127.0.0.1:1");
    let (text, lines, codes) = pipeline.verify();
    assert!(text.contains("archive: not proved: ") && !text.contains("nothing lost"), "{text}");
    assert!(lines[0]["error"].is_string(), "{lines:?}");
    assert_eq!(codes, [Some(1); 3]);
    pipeline.restore();

    topic.delete();
    pipeline.assert_explained("does not exist any more", &json!("gone"));
    for partitions in [2, 1] {
        topic.fill(partitions);
        pipeline.assert_other("was read from its identity ");
        topic.delete();
    }
}

/// The flow has read from the middle of the topic on, and the commits say so.
#[test]
fn a_table_knows_where_the_flow_began_to_read_a_topic() {
    let Some(topic) = Topic::filled("begun", 2) else { return };
    let start = topic.source("start = { offsets = { 0 = 7 } }\ncolumns = [\"timestamp\"]\n");
    let pipeline = Pipeline::into(&start, "[flow.sink.table]\nurl = \"sqlite:copy.db\"\ntable = \"t\"\n");
    pipeline.drain();
    pipeline.assert_proved(13);
    topic.send(2);
    pipeline.drain();
    pipeline.assert_proved(33);
    // Partitions are compared one by one: retention of one explains nothing of the other.
    topic.delete_before(0, 12);
    let partition = json!({ "partition": 0, "counted": 8, "removed": 5, "by": "retention" });
    pipeline.assert_explained(
        "partition 0: 8 left, 5 removed",
        &json!({ "fewer": { "counted": 28, "removed": 5, "partitions": [partition] } }),
    );
}

#[test]
fn a_table_of_a_server_may_lose_rows_and_not_be_another() {
    let Some(url) = servers::mysql() else { return };
    let table = unique("verified").replace('-', "_");
    let sql = |statements: &str| servers::ALL.command(&["sql", &format!("USE CS544; {statements}")]);
    let fill = format!("INSERT INTO {table} (a) SELECT 1 FROM information_schema.collations LIMIT 40");
    sql(&format!("CREATE TABLE {table} (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT); {fill}"));
    let pipeline = Pipeline::new(&format!(
        "[flow.source.table]\nurl = \"{url}\"\ntable = \"{table}\"\ncolumns = {{ a = \"int32\" }}\n"
    ));
    pipeline.drain();
    pipeline.assert_proved(40);
    sql(&format!("DELETE FROM {table} LIMIT 15"));
    let partition = json!({ "partition": 0, "counted": 25, "removed": 15, "by": "delete" });
    pipeline.assert_explained(
        "partition 0: 25 left, 15 removed by a DELETE",
        &json!({ "fewer": { "counted": 25, "removed": 15, "partitions": [partition] } }),
    );
    // As many rows, with the same ids.
    sql(&format!("TRUNCATE {table}; {fill}"));
    let reason = pipeline.assert_other("every row is still there, set known_as");
    let known_as = reason.split_once("known_as = [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    pipeline.edit("[flow.source.table]\n", &format!("[flow.source.table]\nknown_as = [{known_as}]\n"));
    pipeline.assert_proved(40);
    sql(&format!("DROP TABLE {table}"));
    pipeline.assert_explained("does not exist any more", &json!("gone"));
}
