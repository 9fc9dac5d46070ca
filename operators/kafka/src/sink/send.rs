//! What a transaction sends: rows, dead letters, and the entry that says how far the flow has come.

use super::Kafka;
use super::producer::{Outgoing, Producer};
use super::record::{Entry, Stored};
use super::size;
use super::written::Written;
use crate::client::Place;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Result};
use operators_core::position::Position;
use operators_core::types::ColumnType;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};

/// Why a transaction failed.
pub(super) enum Failure {
    /// The brokers or the library did not do a step.
    Step {
        /// What could not be done; follows "cannot".
        doing: &'static str,
        error: KafkaError,
    },
    /// It must not be committed.
    Ours(Error),
}

impl Failure {
    pub(super) fn at(doing: &'static str) -> impl Fn(KafkaError) -> Self {
        move |error| Self::Step { doing, error }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// What the delivery reports are counted under: the partitions of the topic, the dead letters, the progress topic.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub(super) partitions: u32,
}

impl Lanes {
    pub(super) fn count(self) -> usize {
        self.progress() + 1
    }

    fn dead_letters(self) -> usize {
        self.partitions as usize
    }

    pub(super) fn progress(self) -> usize {
        self.partitions as usize + 1
    }

    /// Where the messages of a transaction are, from the reports of all lanes.
    pub(super) fn stored(self, lanes: &[Option<Written>]) -> Stored {
        let rows = (0..self.partitions).zip(lanes);
        Stored {
            rows: rows.filter_map(|(partition, written)| Some((partition, (*written)?))).collect(),
            dead_letters: lanes.get(self.dead_letters()).copied().flatten(),
        }
    }
}

const SEND: &str = "send messages";

/// Sends the rows: those of one source partition in their order, whatever worker had them.
pub(super) fn rows(kafka: &Kafka, producer: &mut Producer, chunks: &[Chunk], limit: u64) -> Result<(), Failure> {
    let mut ordered: Vec<_> = chunks.iter().filter(|chunk| !chunk.is_empty()).collect();
    // A partition stage leaves the rows of a source partition in order, so that chunks never interleave. Partitions take
    // turns: the library has few requests on their way for each at a time.
    ordered.sort_by_key(|chunk| (chunk.source, chunk.positions.value(0), chunk.partition));
    for chunk in ordered {
        let partition = chunk.partition;
        if partition >= kafka.partitions {
            let partitions = kafka.partitions;
            return Err(Error::Other(format!("{}: rows for partition {partition} of {partitions}", kafka.place)).into());
        }
        let (keys, values) = kafka.messages.columns(&chunk.rows)?;
        let message = |row| (keys.as_ref().and_then(|keys| at(keys, row)), at(&values, row));
        for row in 0..values.len() {
            let (key, value) = message(row);
            let bytes = size::alone(key, value, []);
            if bytes > limit {
                return Err(too_large(&kafka.place, chunk, row, bytes, limit).into());
            }
        }
        producer.send_rows(partition, values.len(), message).map_err(Failure::at(SEND))?;
    }
    Ok(())
}

/// Sends rejected rows: their bytes as values, and headers that say what is wrong with them.
pub(super) fn dead_letters(
    place: &Place,
    producer: &mut Producer,
    chunks: &[Chunk],
    limit: u64,
    lanes: Lanes,
) -> Result<(), Failure> {
    const NAMES: [&str; 4] = ["source_partition", "position", "stage", "reason"];
    for chunk in chunks {
        let column = |name: &str, to: ColumnType| -> Result<ArrayRef> {
            let column = chunk.rows.column_by_name(name);
            let column =
                column.ok_or_else(|| Error::Other(format!("dead letters came without their column {name}")))?;
            Ok(cast(column, &to.arrow())?)
        };
        let raw = column("raw", ColumnType::Bytes)?;
        let raw = raw.as_binary::<i32>();
        let words = NAMES.map(|name| column(name, ColumnType::String));
        let words: Vec<_> = words.into_iter().collect::<Result<_>>()?;
        for row in 0..raw.len() {
            let said: Vec<_> = NAMES
                .into_iter()
                .zip(&words)
                .map(|(name, words)| (name, words.as_string::<i32>().value(row)))
                .collect();
            let value = at(raw, row);
            let bytes = size::alone(None, value, said.iter().map(|(name, words)| (*name, words.as_bytes())));
            if bytes > limit {
                return Err(too_large(place, chunk, row, bytes, limit).into());
            }
            let headers = said.iter().fold(OwnedHeaders::new_with_capacity(said.len()), |headers, &(key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
            let (topic, lane) = (place.topic.as_str(), lanes.dead_letters());
            let sent = producer.send(Outgoing { topic, partition: 0, key: None, value, headers: Some(headers), lane });
            sent.map_err(Failure::at(SEND))?;
        }
    }
    Ok(())
}

/// Sends an entry of the progress topic, and waits until it is stored; gives where it is.
pub(super) fn entry(place: &Place, producer: &mut Producer, entry: &Entry, lanes: Lanes) -> Result<Written, Failure> {
    const RECORD: &str = "store the progress";
    let json = serde_json::to_vec(entry);
    let json = json.map_err(|error| Error::Other(format!("{place}: the progress cannot be written: {error}")))?;
    let (key, value) = (Some(entry.key()), Some(json.as_slice()));
    let (topic, lane) = (place.topic.as_str(), lanes.progress());
    let outgoing = Outgoing { topic, partition: 0, key, value, headers: None, lane };
    producer.send(outgoing).map_err(Failure::at(RECORD))?;
    let stored = producer.deliver(RECORD).map_err(Failure::at(RECORD))?;
    let stored = stored.get(lane).copied().flatten();
    Ok(stored.ok_or_else(|| place.unavailable("where the entry of this run is was not said"))?)
}

fn at(array: &BinaryArray, row: usize) -> Option<&[u8]> {
    array.is_valid(row).then(|| array.value(row))
}

fn too_large(place: &Place, chunk: &Chunk, row: usize, bytes: u64, limit: u64) -> Error {
    Error::Value {
        stage: "sink.kafka",
        partition: chunk.source,
        position: Position(chunk.positions.value(row)),
        column: "value".to_owned(),
        reason: format!(
            "the message takes {bytes} bytes with its key, and {place} takes {limit} at most: raise its \
             max.message.bytes, or leave such rows out with transform.filter"
        ),
    }
}
