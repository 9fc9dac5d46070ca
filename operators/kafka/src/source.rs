//! `source.kafka`: the committed messages of a topic, in the order of each partition's offsets.
//!
//! Positions come from the flow's own commits. What cannot go on from there stops the flow: nothing ever jumps.

mod begin;
mod count;
mod footing;
mod group;
mod page;
mod reader;
#[cfg(test)]
mod tests;

use crate::client::Place;
use crate::client::config::{Brokers, Options, Security};
use crate::client::inspect;
use crate::client::topic::{Client, Moment, Operation, Topic};
use begin::First;
use group::Group;
use operators_core::config::Context;
use operators_core::error::{Error, Problem, Result};
use operators_core::inspect::{Extent, Inspect, Seen};
use operators_core::position::{Anchors, Checkpoint, Position, Span};
use operators_core::schema::Schema;
use operators_core::stage::{About, BuiltSource, Reader, Recount, Share, Source};
use page::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is left to do where positions mean nothing any more.
const ANEW: &str = "start the flow anew: remove what its sink has written, or give the flow another name; it then begins \
                    where `start` says";

/// Reads the committed messages of a Kafka topic, each partition in its order; partitions added later are found.
///
/// ```toml
/// [flow.source.kafka]
/// brokers = { env = "KAFKA_BROKERS", default = "localhost:9092" }
/// topic = "temperatures"
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to begin with, `host:port` each: a list, or one text with commas between them.
    pub brokers: Brokers,
    /// The topic.
    pub topic: String,
    /// Where the first run begins; every later run goes on from its last commit. A partition added later is read from
    /// its beginning.
    #[serde(default)]
    pub start: Start,
    /// The columns to give: `key` and `value` (bytes), `headers` (list of name and bytes), `timestamp`.
    #[serde(default = "Column::usual")]
    pub columns: Vec<Column>,
    /// A consumer group that shows what the flow has committed, for tools that watch lag; nothing reads it.
    pub group: Option<String>,
    /// TLS and login.
    pub security: Option<Security>,
    /// More settings of librdkafka, such as `"fetch.min.bytes" = 65536`.
    #[serde(default)]
    pub options: Options,
}

/// Where the first run begins.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// at the first message that is still there
    #[default]
    Earliest,
    /// behind the last message
    Latest,
    /// At the first message at or after a time, such as "2026-01-01T00:00:00Z".
    Timestamp(String),
    /// At an offset for each partition named, at the first message of the others: { 0 = 17, 1 = 42 }.
    Offsets(BTreeMap<String, u64>),
}

impl KafkaConfig {
    /// Builds the stage; asks no server.
    pub fn build(&self, context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        let place = Place::new(&self.brokers, self.security.as_ref(), &self.options, &self.topic, context);
        let (first, schema) = (First::new(&self.start), page::schema(&self.columns));
        match (place, first, schema) {
            (Ok(place), Ok(first), Ok(schema)) => Ok(BuiltSource {
                schema: schema.clone(),
                place: place.id(),
                // Not the brokers: they come and go, and the topic's id tells one cluster from another.
                about: About { summary: place.to_string(), fingerprint: vec![("topic", self.topic.clone())] },
                source: Arc::new(KafkaSource {
                    group: self.group.as_ref().map(|name| Group::new(name, &place)),
                    shared: Arc::new(Shared {
                        place,
                        schema,
                        columns: self.columns.clone(),
                        first,
                        known: Mutex::default(),
                    }),
                }),
            }),
            (place, first, schema) => {
                let mut problems = place.err().unwrap_or_default();
                problems.extend(first.err().into_iter().chain(schema.err()));
                Err(problems)
            }
        }
    }
}

struct KafkaSource {
    shared: Arc<Shared>,
    group: Option<Group>,
}

/// What is read, and what all its readers agree on.
struct Shared {
    place: Place,
    schema: Schema,
    columns: Vec<Column>,
    first: First,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The topic's id as it was first seen.
    id: Option<String>,
    /// Where partitions without a position were begun, once that was asked: a restart before the first commit must not
    /// begin elsewhere.
    begun: Option<BTreeMap<u32, u64>>,
    /// The last messages before the positions of the last commit.
    anchors: Anchors,
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses another topic under the same name.
    fn same(&self, topic: &Topic) -> Result<()> {
        let Some(id) = &topic.id else { return Ok(()) };
        let mut known = self.known();
        match &known.id {
            Some(before) if before != id => {
                Err(self
                    .lost(&format!("the topic was deleted and created again (its id was {before} and is now {id})")))
            }
            Some(_) => Ok(()),
            None => {
                known.id = Some(id.clone());
                Ok(())
            }
        }
    }

    fn lost(&self, what: &str) -> Error {
        self.place.refused(format!("{what}. Going on would lose or double messages. Put the messages back, or {ANEW}"))
    }
}

impl Inspect for KafkaSource {
    fn connect(&self, _flow: &str) -> Vec<Result<Seen>> {
        let place = &self.shared.place;
        let client = match Client::new(place, &[]) {
            Ok(client) => client,
            Err(error) => return vec![Err(error)],
        };
        let brokers = inspect::brokers(&client);
        if brokers.is_err() {
            return vec![brokers];
        }
        let topic = client.topic().and_then(|topic| match topic {
            Some(topic) => {
                self.shared.first.check(place, topic.partitions)?;
                inspect::topic(&client, &[Operation::Read])
            }
            None => Ok(Seen::NotYet(format!("{place} is not there yet; the flow waits for it"))),
        });
        vec![brokers, topic]
    }
}

impl Source for KafkaSource {
    fn starts(&self) -> Result<Checkpoint> {
        begin::starts(&self.shared)
    }

    fn anchored(&self, anchors: &Anchors) {
        self.shared.known().anchors.clone_from(anchors);
    }

    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
        Ok(Box::new(reader::KafkaReader::open(Arc::clone(&self.shared), share, from)?))
    }

    fn identity(&self) -> Result<Option<String>> {
        let Some(topic) = Client::new(&self.shared.place, &[])?.settled(0)? else { return Ok(None) };
        self.shared.same(&topic)?;
        Ok(topic.id)
    }

    fn count(&self, span: &Span, more: &mut dyn FnMut(u64)) -> Result<Recount> {
        let anchor = self.shared.known().anchors.0.get(&span.partition).copied();
        count::count(&self.shared.place, span, anchor, more)
    }

    /// From the first message that is still there to behind the last that is committed, as lag is counted.
    fn extents(&self) -> Result<Vec<Extent>> {
        let client = Client::new(&self.shared.place, &[])?;
        let partitions = client.topic()?.map_or(0, |topic| topic.partitions);
        let firsts = client.offsets(0..partitions, Moment::Beginning)?;
        let ends = client.offsets(0..partitions, Moment::End)?;
        let of =
            |offsets: &BTreeMap<u32, u64>, partition| Position(offsets.get(&partition).copied().unwrap_or_default());
        // The ends of transactions have offsets too, and compaction takes messages away.
        let extent =
            |partition| Extent { partition, first: of(&firsts, partition), next: of(&ends, partition), dense: false };
        Ok((0..partitions).map(extent).collect())
    }

    fn committed(&self, positions: &Checkpoint) {
        if let Some(group) = &self.group {
            group.show(positions);
        }
    }

    fn ended(&self) {
        if let Some(group) = &self.group {
            group.settle();
        }
    }
}
