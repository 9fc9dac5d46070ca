//! `sink.kafka`: messages and progress in one transaction of the cluster.
//!
//! ```text
//! open    find or create the topics -> init_transactions shuts older producers out -> commit an entry of this run to the
//!         flow's progress topic -> only then read, up to that entry, what is committed
//! commit  begin -> messages -> wait until all are stored -> the progress record, with their offsets -> commit
//! ```
//! The entry of `open` makes two things certain. What is read before it is all there is, whatever a broker that has just
//! taken over may say; and a producer that is shut out can tell a newer run from a transaction that took too long.
//!
//! | name | what it is |
//! |---|---|
//! | `<topic>.<pipeline>.<flow>` | transactional id of the flow |
//! | `<topic>.<pipeline>.<flow>.progress` | its progress topic, see `record.rs`; created when it is missing |
//! | `<topic>.<pipeline>.<flow>.dead_letters` | rows that stages rejected; created, where the file says so, with the first |

mod audit;
mod commit;
mod failpoint;
mod inspect;
mod producer;
mod progress;
mod record;
mod send;
mod size;
#[cfg(test)]
mod tests;
mod written;

use crate::client::Place;
use crate::client::config::{Brokers, Options, Security};
use crate::client::topic::{self, Client, Topic};
use commit::KafkaCommitter;
use failpoint::Failpoints;
use operators_core::config::Context;
use operators_core::error::{Error, Problem, Result};
use operators_core::gathered::Gatherer;
use operators_core::message::Messages;
use operators_core::progress::{Progress, Run};
use operators_core::schema::Schema;
use operators_core::stage::{About, BuiltSink, Opened, Sink, Writer};
use progress::ProgressTopic;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Sends messages to a Kafka topic: the column `value`, and `key` where there is one.
///
/// The partition stage decides the partition of each message, and how many the topic must have. Messages and progress
/// are committed in one transaction; readers with `isolation.level = read_committed` see each message once.
///
/// ```toml
/// [flow.sink.kafka]
/// brokers = { env = "KAFKA_BROKERS", default = "localhost:9092" }
/// topic = "reports"
/// create = { partitions = 4 }
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to begin with: `host:port`, several with commas between them or as a list.
    pub brokers: Brokers,
    /// TLS and login; without it the connection is plain.
    pub security: Option<Security>,
    /// Settings of librdkafka, such as `"compression.type" = "lz4"`; those on which correctness rests are refused.
    #[serde(default)]
    pub options: Options,
    /// The topic.
    pub topic: String,
    /// Creates the topic when it is not there; without this it must exist.
    pub create: Option<Create>,
}

/// How a topic is created.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Number of partitions: the partition stage says it, and here it may be said again.
    pub partitions: Option<u32>,
    /// Copies of each partition; without it the brokers' default.
    pub replication: Option<u32>,
}

/// How long a call of a transaction may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl KafkaConfig {
    /// Builds the stage; changes nothing and asks no server.
    pub fn build(&self, input: &Schema, partitions: Option<u32>, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        let kafka = self.kafka(input, partitions, context)?;
        let fingerprint = vec![("topic", self.topic.clone()), ("partitions", kafka.partitions.to_string())];
        Ok(BuiltSink {
            place: kafka.place.id(),
            staging: None,
            about: About { summary: kafka.place.to_string(), fingerprint },
            sink: Arc::new(KafkaSink(Arc::new(kafka))),
        })
    }

    fn kafka(&self, input: &Schema, partitions: Option<u32>, context: &Context) -> Result<Kafka, Vec<Problem>> {
        let mut problems = Vec::new();
        let place = Place::new(&self.brokers, self.security.as_ref(), &self.options, &self.topic, context);
        let place = place.map_err(|more| problems.extend(more));
        let messages = Messages::check(input, partitions).map_err(|more| problems.extend(more));
        let created = self.create.as_ref().and_then(|create| create.partitions);
        if let (Some(created), Some(partitions)) = (created, partitions)
            && created != partitions
        {
            let message = format!("the partition stage spreads rows over {partitions} partitions");
            problems.push(Problem { at: vec!["create".into(), "partitions".into()], message, help: None });
        }
        match (place, messages) {
            (Ok(place), Ok((messages, partitions))) if problems.is_empty() => Ok(Kafka {
                place,
                partitions,
                messages,
                create: self.create.clone(),
                patience: PATIENCE,
                failpoints: Failpoints::default(),
            }),
            _ => Err(problems),
        }
    }
}

/// A topic that messages are sent to.
struct Kafka {
    place: Place,
    partitions: u32,
    messages: Messages,
    create: Option<Create>,
    patience: Duration,
    failpoints: Failpoints,
}

struct KafkaSink(Arc<Kafka>);

impl Sink for KafkaSink {
    fn progress(&self, flow: &str) -> Result<Option<Progress>> {
        let held = self.0.progress(flow)?.look()?;
        Ok(held.and_then(|held| held.last).map(|last| last.progress))
    }

    fn open(&self, run: &Run) -> Result<Opened> {
        let kafka = &self.0;
        let client = Client::new(&kafka.place, &[])?;
        let progress = kafka.progress(&run.flow)?;
        let topic = kafka.ready(&client, &progress)?;
        progress.create(&client)?;
        let committer = KafkaCommitter::open(Arc::clone(kafka), client, progress, topic, run)?;
        let progress = committer.last().cloned();
        Ok(Opened { committer: Box::new(committer), progress })
    }

    fn writer(&self, _run: &Run, _attempt: u64) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Gatherer::of(self.0.messages)))
    }
}

impl Kafka {
    /// What belongs to one flow: its transactional id, and the beginning of its own topics' names.
    fn name(&self, flow: &str) -> String {
        format!("{}.{}", self.place.topic, flow.replace('/', "."))
    }

    fn progress(&self, flow: &str) -> Result<ProgressTopic> {
        ProgressTopic::new(&self.place.sibling(format!("{}.progress", self.name(flow))), flow)
    }

    fn dead_letters(&self, flow: &str) -> Place {
        self.place.sibling(format!("{}.dead_letters", self.name(flow)))
    }

    /// The topic, created where it is missing and asked for.
    fn ready(&self, client: &Client, progress: &ProgressTopic) -> Result<Topic> {
        let topic = match client.topic()? {
            Some(topic) => topic,
            None => match self.creatable(progress) {
                Ok(create) => {
                    topic::create(&self.place, self.partitions, create.replication, &[])?;
                    client.appears()?
                }
                // The broker that was asked may be behind the others.
                Err(missing) => client.settled(0)?.ok_or(missing)?,
            },
        };
        self.fits(&topic).map(|()| topic)
    }

    /// How the topic, which is missing, is to be created; refused where the file does not ask for that, or messages of
    /// the flow are gone with the one before.
    fn creatable(&self, progress: &ProgressTopic) -> Result<&Create> {
        let last = progress.look()?.and_then(|held| held.last);
        if let Some(last) = last.filter(|last| last.progress.totals.written > 0) {
            return Err(self.gone(last.progress.totals.written, progress));
        }
        self.create.as_ref().ok_or_else(|| {
            self.place.refused(format!(
                "there is no such topic. Create it with {} partitions, or let the sink do it: create = {{}}",
                self.partitions
            ))
        })
    }

    fn gone(&self, messages: u64, progress: &ProgressTopic) -> Error {
        self.place.refused(format!(
            "the topic was deleted, and {messages} messages that the flow sent with it. Restore it; or, to send all \
             rows anew, delete the {}",
            progress.place()
        ))
    }

    /// Refuses a topic with another number of partitions.
    fn fits(&self, topic: &Topic) -> Result<()> {
        if topic.partitions == self.partitions {
            return Ok(());
        }
        Err(self.place.refused(format!(
            "the topic has {} partitions, and the flow asks for {}. Another number moves keys to other partitions, where \
             their order is lost: set the partition stage to the number of the topic, or name another topic",
            topic.partitions, self.partitions
        )))
    }
}
