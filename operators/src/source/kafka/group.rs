//! A consumer group that shows what the flow has committed, for tools that watch lag. Nothing reads it.

use crate::kafka::Place;
use crate::kafka::error::Listener;
use crate::position::Checkpoint;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) struct Group {
    name: String,
    place: Place,
    /// Made with the first commit; it never joins the group, it only writes.
    client: Mutex<Option<BaseConsumer<Listener>>>,
}

impl Group {
    pub(super) fn new(name: &str, place: &Place) -> Self {
        Self { name: name.to_owned(), place: place.clone(), client: Mutex::default() }
    }

    /// Writes positions without waiting; what fails is written with the next.
    pub(super) fn show(&self, positions: &Checkpoint) {
        if let Err(error) = self.try_show(positions) {
            tracing::warn!("{}: cannot show progress in group {}: {error}", self.place, self.name);
        }
    }

    fn try_show(&self, positions: &Checkpoint) -> Result<(), KafkaError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match &mut *client {
            Some(client) => client,
            empty => {
                let mut config = self.place.client.clone();
                config.set("group.id", &self.name).set("enable.auto.commit", "false");
                empty.insert(config.create_with_context(Listener::new(&self.place))?)
            }
        };
        while client.poll(Duration::ZERO).is_some() {}
        let mut list = TopicPartitionList::new();
        for (&partition, &next) in &positions.0 {
            let offset = Offset::Offset(next.0.cast_signed());
            list.add_partition_offset(&self.place.topic, partition.cast_signed(), offset)?;
        }
        client.commit(&list, CommitMode::Async)
    }
}
