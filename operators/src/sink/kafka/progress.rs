//! Reads the progress topic of a flow from its end: a few records, however many commits there were.

use super::record::{Entry, Record};
use crate::error::{Error, Result};
use crate::kafka::topic::{self, Client, Moment};
use crate::kafka::{Place, TIMEOUT};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// Offsets before the end that are read first: the last commit is there, unless many transactions failed since.
const FIRST_READ: u64 = 32;
/// How much farther back each next read begins.
const WIDER: u64 = 16;
/// How long one look for the next record lasts.
const LOOK: Duration = Duration::from_millis(100);
/// The topic's only partition.
const PARTITION: u32 = 0;

/// The progress topic of one flow.
pub(super) struct ProgressTopic {
    client: Client,
    flow: String,
}

/// What the newest entries say.
#[derive(Debug)]
pub(super) struct Held {
    /// Who may commit.
    pub(super) owner: String,
    /// Offset of the newest entry.
    pub(super) at: u64,
    /// The last commit; `None` before the first.
    pub(super) last: Option<Record>,
    /// Reads that it took to find out.
    pub(super) reads: u32,
}

impl ProgressTopic {
    /// The topic of this name, which need not exist.
    pub(super) fn new(place: &Place, flow: &str) -> Result<Self> {
        let settings = [
            // The library asks for a group where partitions are read one by one; nothing is ever committed to it.
            ("group.id", place.topic.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
        ];
        Ok(Self { client: Client::new(place, &settings)?, flow: flow.to_owned() })
    }

    pub(super) fn place(&self) -> &Place {
        &self.client.place
    }

    /// Creates it where it is missing, as safe as the topic of the rows, and refuses one that would forget.
    pub(super) fn create(&self, rows: &Client) -> Result<()> {
        let place = self.place();
        if self.client.topic()?.is_none() {
            let [least] = topic::settings(&rows.place, ["min.insync.replicas"])?;
            let least = least.as_deref().map(|least| ("min.insync.replicas", least));
            let settings: Vec<_> =
                [("cleanup.policy", "compact"), ("segment.bytes", "16777216")].into_iter().chain(least).collect();
            topic::create(place, 1, rows.replication()?, &settings)?;
            self.client.appears()?;
        }
        let [policy] = topic::settings(place, ["cleanup.policy"])?;
        if policy.as_deref() != Some("compact") {
            return Err(place.refused(format!(
                "its cleanup.policy is {}, which would delete the flow's positions after a while: set it to compact",
                policy.as_deref().unwrap_or("not known")
            )));
        }
        Ok(())
    }

    /// What is committed; `None` where there is no topic, or nothing in it.
    pub(super) fn look(&self) -> Result<Option<Held>> {
        if self.client.topic()?.is_none() {
            return Ok(None);
        }
        let end = self.offset(Moment::End)?;
        self.before(end, None)
    }

    /// What was committed before an own entry at this offset. It is read as well, so that no broker which has not
    /// caught up yet can hide what is before it.
    pub(super) fn behind(&self, own: u64) -> Result<Held> {
        let held = self.before(own + 1, Some(own))?;
        held.ok_or_else(|| self.place().unavailable("the entry just written is not there"))
    }

    fn offset(&self, moment: Moment) -> Result<u64> {
        let found = self.client.offsets([PARTITION], moment)?;
        found.get(&PARTITION).copied().ok_or_else(|| self.place().unavailable("no offset of its partition is known"))
    }

    fn before(&self, end: u64, own: Option<u64>) -> Result<Option<Held>> {
        let beginning = self.offset(Moment::Beginning)?;
        let (mut back, mut reads) = (FIRST_READ, 0);
        loop {
            let from = end.saturating_sub(back).max(beginning);
            reads += 1;
            let mut held: Option<Held> = None;
            self.each(from, own, &mut |at, entry| {
                let owner = entry.run().id.clone();
                let before = held.take().and_then(|held| held.last);
                let last = match entry {
                    Entry::Owner(_) => before,
                    Entry::Commit(record) => Some(record),
                };
                held = Some(Held { owner, at, last, reads });
                Ok(())
            })?;
            if from == beginning || held.as_ref().is_some_and(|held| held.last.is_some()) {
                return Ok(held);
            }
            back = back.saturating_mul(WIDER);
        }
    }

    /// Gives the entries from an offset on: up to an own one, or to the end.
    pub(super) fn each(
        &self,
        from: u64,
        own: Option<u64>,
        found: &mut dyn FnMut(u64, Entry) -> Result<()>,
    ) -> Result<()> {
        let failed = |error| self.client.failed("read the flow's positions", &error);
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(from.cast_signed());
        list.add_partition_offset(&self.place().topic, PARTITION.cast_signed(), offset).map_err(failed)?;
        self.client.consumer.assign(&list).map_err(failed)?;
        let mut heard = Instant::now();
        loop {
            match self.client.consumer.poll(LOOK) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let at = message.offset().cast_unsigned();
                    found(at, self.entry(&message)?)?;
                    if own.is_some_and(|own| at >= own) {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) if own.is_none() => return Ok(()),
                Some(Err(error)) if is_final(&error) => return Err(failed(error)),
                _ => {}
            }
            if heard.elapsed() > TIMEOUT {
                return Err(self.place().unavailable(match own {
                    Some(own) => format!(
                        "the entry just committed at offset {own} cannot be read: another program has a transaction \
                         open in this topic"
                    ),
                    None => "the flow's positions are not given".to_owned(),
                }));
            }
        }
    }

    fn entry(&self, message: &BorrowedMessage<'_>) -> Result<Entry> {
        let damaged =
            |reason: String| Error::Damaged { path: format!("{}, offset {}", self.place(), message.offset()), reason };
        let entry: Entry = serde_json::from_slice(message.payload().unwrap_or_default())
            .map_err(|error| damaged(format!("it is no entry of a flow's progress: {error}")))?;
        match entry.run().flow == self.flow {
            true => Ok(entry),
            false => Err(damaged(format!("it belongs to flow {}, not to {}", entry.run().flow, self.flow))),
        }
    }
}

/// Whether reading on makes no sense; what the library mends by itself comes up here as well.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::Fatal
        )
    )
}
