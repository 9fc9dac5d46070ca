//! A consumer group that shows what the flow has committed, for tools that watch lag. Nothing reads it.

use crate::client::Place;
use crate::client::error::Listener;
use operators_core::position::Checkpoint;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the end of a run waits for the last positions to be written; a group's first coordinator takes seconds.
const LAST: Duration = Duration::from_secs(5);

pub(super) struct Group {
    name: String,
    place: Place,
    /// Made with the first commit; it never joins the group, it only writes.
    client: Mutex<Option<Client>>,
}

struct Client {
    consumer: BaseConsumer<Listener>,
    /// Commits without an answer are waited for at the end.
    asked: u64,
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

    /// Waits for what is on its way, for a while.
    pub(super) fn settle(&self) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Client { consumer, asked }) = &mut *client else { return };
        let end = Instant::now() + LAST;
        while consumer.context().committed() < *asked && Instant::now() < end {
            let _ = consumer.poll(Duration::from_millis(20));
        }
    }

    fn try_show(&self, positions: &Checkpoint) -> Result<(), KafkaError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match &mut *client {
            Some(client) => client,
            empty => {
                let mut config = self.place.client.clone();
                config.set("group.id", &self.name).set("enable.auto.commit", "false");
                let consumer = config.create_with_context(Listener::new(&self.place))?;
                empty.insert(Client { consumer, asked: 0 })
            }
        };
        while client.consumer.poll(Duration::ZERO).is_some() {}
        let mut list = TopicPartitionList::new();
        for (&partition, &next) in &positions.0 {
            let offset = Offset::Offset(next.0.cast_signed());
            list.add_partition_offset(&self.place.topic, partition.cast_signed(), offset)?;
        }
        client.consumer.commit(&list, CommitMode::Async)?;
        client.asked += 1;
        Ok(())
    }
}
