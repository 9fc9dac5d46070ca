//! Reads the progress topic of a flow from its end: a few records, however many commits there were.

use super::record::{Entry, Record};
use crate::client::Place;
use crate::client::batch::Message;
use crate::client::inspect;
use crate::client::scan::scan;
use crate::client::topic::{self, Client, Operation};
use operators_core::error::{Error, Result};
use operators_core::inspect::Seen;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Offsets before the end that are read first: the last commit is there, unless many transactions failed since.
const FIRST_READ: u64 = 32;
/// How much farther back each next read begins.
const WIDER: u64 = 16;
/// The topic's only partition.
const PARTITION: u32 = 0;

/// Settings of a topic.
type Settings<'s> = &'s [(&'s str, &'s str)];

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
    /// When that was made, by the clock of its producer or its broker.
    pub(super) committed_at: Option<SystemTime>,
    /// Reads that it took to find it.
    pub(super) reads: u32,
}

/// Takes an entry with its offset and time.
type Found<'f> = dyn FnMut(u64, Option<SystemTime>, Entry) -> Result<()> + 'f;

impl ProgressTopic {
    /// The topic of this name, which need not exist.
    pub(super) fn new(place: &Place, flow: &str) -> Result<Self> {
        Ok(Self { client: Client::new(place, &[])?, flow: flow.to_owned() })
    }

    pub(super) fn place(&self) -> &Place {
        &self.client.place
    }

    /// Creates it where it is missing, as safe as the topic of the rows, and refuses one that would forget.
    pub(super) fn create(&self, rows: &Client) -> Result<()> {
        if !self.exists()? {
            self.ask_for(rows, topic::create)?;
            self.client.appears()?;
        }
        self.check_policy()
    }

    /// What it has to be, for a call that creates it or asks whether that could be done.
    fn ask_for(
        &self,
        rows: &Client,
        ask: impl FnOnce(&Place, u32, Option<u32>, Settings<'_>) -> Result<()>,
    ) -> Result<()> {
        let [least] = rows.settings(["min.insync.replicas"])?;
        let least = least.as_deref().map(|least| ("min.insync.replicas", least));
        let settings: Vec<_> =
            [("cleanup.policy", "compact"), ("segment.bytes", "16777216")].into_iter().chain(least).collect();
        ask(self.place(), 1, Some(rows.replication()?), &settings)
    }

    /// Whether it is as a run needs it, or could be created.
    pub(super) fn inspect(&self, rows: &Client) -> Result<Seen> {
        if self.exists()? {
            self.check_policy()?;
            return inspect::topic(&self.client, &[Operation::Read, Operation::Write, Operation::DescribeConfigs]);
        }
        self.ask_for(rows, topic::may_create)?;
        Ok(Seen::NotYet(format!("{} is not there yet; it will be made, and the brokers allow that", self.place())))
    }

    fn check_policy(&self) -> Result<()> {
        let [policy] = self.client.settings(["cleanup.policy"])?;
        if policy.as_deref() != Some("compact") {
            return Err(self.place().refused(format!(
                "its cleanup.policy is {}, which would delete the flow's positions after a while: set it to compact",
                policy.as_deref().unwrap_or("not known")
            )));
        }
        Ok(())
    }

    pub(super) fn exists(&self) -> Result<bool> {
        Ok(self.client.topic()?.is_some())
    }

    /// What is committed; `None` where there is no topic, or nothing in it.
    pub(super) fn look(&self) -> Result<Option<Held>> {
        match self.exists()? {
            true => self.before(self.range()?.end),
            false => Ok(None),
        }
    }

    /// What was committed up to an entry at this offset. It must be seen, so that no broker which has not caught up yet
    /// can hide what is before it.
    pub(super) fn up_to(&self, own: u64) -> Result<Held> {
        let held = self.before(own + 1)?.filter(|held| held.at == own);
        held.ok_or_else(|| self.place().unavailable(format!("the entry just committed at offset {own} is not there")))
    }

    /// The newest entries before an offset; `None` where there are none.
    fn before(&self, end: u64) -> Result<Option<Held>> {
        let beginning = self.range()?.start;
        let (mut back, mut reads) = (FIRST_READ, 0);
        loop {
            let from = end.saturating_sub(back).max(beginning);
            reads += 1;
            let mut held: Option<Held> = None;
            self.each(from..end, &mut |at, time, entry| {
                let owner = entry.run().id.clone();
                let (last, committed_at) = match entry {
                    Entry::Owner(_) => held.take().map(|held| (held.last, held.committed_at)).unwrap_or_default(),
                    Entry::Commit(record) => (Some(*record), time),
                };
                held = Some(Held { owner, at, last, committed_at, reads });
                Ok(())
            })?;
            if let Some(held) = &held {
                tracing::debug!("{}: the newest entry is at {}, after {} reads", self.place(), held.at, held.reads);
            }
            let is_found = held.as_ref().is_some_and(|held| held.last.is_some());
            if from > beginning && !is_found {
                back = back.saturating_mul(WIDER);
                continue;
            }
            // Compaction keeps the last commit, and where the log begins.
            return match is_found || beginning == 0 {
                true => Ok(held),
                false => Err(self.cut(beginning)),
            };
        }
    }

    fn cut(&self, beginning: u64) -> Error {
        self.place().refused(format!(
            "what was before offset {beginning} is deleted, by retention or by hand, and no commit of the flow is \
             left: how far it came is not known, and beginning anew would double what it has sent. To send all rows \
             anew, delete this topic and what the flow has sent, or give the sink another topic"
        ))
    }

    /// The offsets that the topic has.
    pub(super) fn range(&self) -> Result<Range<u64>> {
        self.client.range(PARTITION)
    }

    /// Gives the entries in a stretch of offsets, in their order, each with its offset and time.
    pub(super) fn each(&self, stretch: Range<u64>, found: &mut Found<'_>) -> Result<()> {
        let time = |millis: i64| UNIX_EPOCH + Duration::from_millis(millis.cast_unsigned());
        let mut take =
            |message: Message<'_>| found(message.offset(), message.timestamp().map(time), self.entry(message)?);
        match scan(self.place(), PARTITION, stretch, &mut take)? {
            true => Ok(()),
            false => Err(self.place().unavailable("entries were deleted while they were read")),
        }
    }

    fn entry(&self, message: Message<'_>) -> Result<Entry> {
        let damaged =
            |reason: String| Error::Damaged { path: format!("{}, offset {}", self.place(), message.offset()), reason };
        let entry: Entry = serde_json::from_slice(message.value().unwrap_or_default())
            .map_err(|error| damaged(format!("it is no entry of a flow's progress: {error}")))?;
        match entry.run().flow == self.flow {
            true => Ok(entry),
            false => Err(damaged(format!("it belongs to flow {}, not to {}", entry.run().flow, self.flow))),
        }
    }
}
