//! One worker's partitions, read as they come.

use super::Shared;
use super::begin::{Begin, begin, check};
use super::footing::Footing;
use super::page::Page;
use crate::client::batch::{Batches, Fetched, SETTINGS, is_position_lost};
use crate::client::error;
use crate::client::topic::{self, Client, Moment};
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Result};
use operators_core::position::{Checkpoint, Lag, Position, Span};
use operators_core::stage::{Read, Reader, Share};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one read waits for a first message.
const WAIT: Duration = Duration::from_millis(50);

/// How often the ends of partitions are asked for while nothing comes.
const ENDS_EVERY: Duration = Duration::from_millis(500);

/// How long messages that are written and not decided may still turn out to be committed: a producer knows of its commit
/// a moment before the partitions do. After that their transaction is open.
const UNDECIDED: Duration = Duration::from_secs(1);

/// How often the topic itself is looked at: is it the same, does it have more partitions?
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How long no broker may give a sign of life. librdkafka connects again by itself; this is for the flow to know.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon to look again for a topic that does not exist yet.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct KafkaReader {
    shared: Arc<Shared>,
    share: Share,
    from: Checkpoint,
    batches: Batches,
    /// Asks on a connection of its own: a broker answers one request after the other, and a fetch waits for messages.
    client: Client,
    /// As it was seen last; `None` before it exists.
    topic: Option<topic::Topic>,
    /// The partitions of this share that are being read.
    lanes: BTreeMap<u32, Lane>,
    /// Ready to be handed over, in order.
    ready: VecDeque<(Chunk, Span)>,
    ends: Ends,
    /// Whether rows were handed over since it was last asked whether these were all.
    moved: bool,
    watched: Instant,
    alive: Instant,
}

/// A partition on its way.
struct Lane {
    next: u64,
    footing: Footing,
    page: Option<Page>,
}

/// Behind the last committed message of each partition, as it was at a time.
struct Ends {
    at: Instant,
    offsets: BTreeMap<u32, u64>,
}

impl KafkaReader {
    pub(super) fn open(shared: Arc<Shared>, share: Share, from: &Checkpoint) -> Result<Self> {
        let batches = Batches::new(Client::new(&shared.place, SETTINGS)?)?;
        let client = Client::new(&shared.place, &[])?;
        let now = Instant::now();
        let mut reader = Self {
            shared,
            share,
            from: from.clone(),
            batches,
            client,
            topic: None,
            lanes: BTreeMap::new(),
            ready: VecDeque::new(),
            ends: Ends { at: now, offsets: BTreeMap::new() },
            moved: false,
            watched: now,
            alive: now,
        };
        reader.look()?;
        Ok(reader)
    }

    /// Looks at the topic: refuses another one, begins partitions that are new.
    fn look(&mut self) -> Result<()> {
        let found = match (&self.topic, self.from.0.last_key_value()) {
            // What a position belongs to is called gone only after a while.
            (None, Some((partition, _))) => self.client.settled(partition.saturating_add(1))?,
            _ => self.client.topic()?,
        };
        self.watched = Instant::now();
        if let Some(behind) = self.topic.as_ref().and_then(|known| behind(known, found.as_ref())) {
            return Err(self.shared.place.unavailable(behind));
        }
        self.alive = Instant::now();
        let Some(found) = found else {
            // A topic that never was is another's to create; one that was read is lost.
            let read = self.from.0.values().any(|next| next.0 > 0);
            return if read { Err(self.shared.lost("the topic does not exist any more")) } else { Ok(()) };
        };
        self.shared.same(&found)?;
        if let Some((partition, next)) = self.from.0.range(found.partitions..).next() {
            let what = format!(
                "the topic has {} partitions, and the flow stands at {next} of partition {partition}",
                found.partitions
            );
            return Err(self.shared.lost(&what));
        }
        let mine = (0..found.partitions).filter(|partition| self.share.owns(*partition));
        let new: Vec<_> = mine.filter(|partition| !self.lanes.contains_key(partition)).collect();
        if !new.is_empty() {
            for begin in begin(&self.shared, &self.client, &new, &self.from)? {
                self.start(&begin)?;
            }
        }
        self.topic = Some(found);
        Ok(())
    }

    fn start(&mut self, begin: &Begin) -> Result<()> {
        self.batches.start(begin.partition, begin.anchor.map_or(begin.at, |anchor| anchor.at.0))?;
        self.ends.offsets.insert(begin.partition, begin.end);
        let lane = Lane { next: begin.at, footing: Footing::new(begin.anchor), page: None };
        if begin.is_new {
            let page = Page::new(&self.shared.columns, begin.at);
            self.ready.push_back(page.finish(begin.partition, None, &self.shared.schema)?);
            self.from.0.insert(begin.partition, Position(begin.at));
        }
        self.lanes.insert(begin.partition, lane);
        Ok(())
    }

    /// Looks at the topic from time to time.
    fn watch(&mut self) -> Result<()> {
        if self.watched.elapsed() < WATCH_EVERY {
            return Ok(());
        }
        self.client.listen()?;
        self.batches.client.listen()?;
        self.look_patiently()
    }

    /// No broker need answer each time, or know all that another has told; but one must from time to time.
    fn look_patiently(&mut self) -> Result<()> {
        match self.look() {
            Err(Error::Unavailable { .. }) if self.alive.elapsed() < PATIENCE => {
                self.watched = Instant::now();
                Ok(())
            }
            looked => looked,
        }
    }

    /// Takes what has come; says whether there is something to hand over.
    fn fetch(&mut self, wait: Duration) -> Result<bool> {
        let Self { shared, lanes, ready, .. } = self;
        let (mut troubles, mut slips) = (Vec::new(), BTreeMap::new());
        let any = self.batches.fetch(wait, |fetched| {
            let (partition, passed) = match &fetched {
                Fetched::Message(message) => (message.partition(), message.offset() + 1),
                Fetched::End { partition, offset } => (*partition, *offset),
                Fetched::Trouble { partition, code, words } => {
                    troubles.push((*partition, *code, words.clone()));
                    return Ok(());
                }
            };
            // What was read before, or of a partition that nobody asked for, is never given.
            let Some(lane) = lanes.get_mut(&partition) else { return Ok(()) };
            if let Some(slip) = lane.footing.slip(&fetched, lane.next) {
                slips.entry(partition).or_insert(slip);
            }
            if passed <= lane.next {
                return Ok(());
            }
            let page = lane.page.get_or_insert_with(|| Page::new(&shared.columns, lane.next));
            match &fetched {
                Fetched::Message(message) => {
                    page.take(message);
                    lane.footing.step(message);
                }
                _ => page.pass(passed),
            }
            lane.next = passed;
            if page.is_full()
                && let Some(page) = lane.page.take()
            {
                ready.push_back(page.finish(partition, lane.footing.anchor(), &shared.schema)?);
            }
            Ok(())
        })?;
        for (&partition, lane) in lanes {
            if let Some(page) = lane.page.take() {
                ready.push_back(page.finish(partition, lane.footing.anchor(), &shared.schema)?);
            }
        }
        for (partition, slip) in slips {
            slip.judge(&self.shared, &self.client, partition)?;
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.footing.go_on();
            }
        }
        if any && troubles.is_empty() {
            self.alive = Instant::now();
        }
        for (partition, code, words) in troubles {
            self.trouble(partition, code, &words)?;
        }
        Ok(!self.ready.is_empty())
    }

    /// What the library tells of a partition. It asks again for the same offset, so nothing is lost by going on.
    fn trouble(&mut self, partition: Option<u32>, code: Code, words: &str) -> Result<()> {
        if is_position_lost(code) {
            return Err(self.position_lost(partition, words));
        }
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable => {}
            // The topic may be gone: look at once.
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
                self.look_patiently()?;
            }
            code => {
                let doing = partition.map_or("read".to_owned(), |partition| format!("read partition {partition}"));
                return Err(error::answered(&self.shared.place, &doing, code, words));
            }
        }
        tracing::debug!("{}: {words}", self.shared.place);
        Ok(())
    }

    /// Finds out what became of a position that the brokers do not know.
    fn position_lost(&mut self, partition: Option<u32>, words: &str) -> Error {
        let found = self.look().and_then(|()| {
            let Some(partition) = partition else { return Ok(()) };
            let Some(lane) = self.lanes.get(&partition) else { return Ok(()) };
            let range = self.client.range(partition)?;
            check(&self.shared, &self.client, partition, lane.next, range).map(drop)
        });
        // It is there after all: the log was behind for a moment, and librdkafka has given this partition up.
        found.err().unwrap_or_else(|| self.shared.place.unavailable(format!("reading stopped: {words}")))
    }

    /// Asks for the ends anew.
    fn ask_ends(&mut self) -> Result<()> {
        self.ends.at = Instant::now();
        self.ends.offsets = self.client.offsets(self.lanes.keys().copied(), Moment::End)?;
        self.alive = Instant::now();
        Ok(())
    }

    /// Whether all is read that was committed before this call, in partitions added before it too.
    fn is_at_end(&mut self) -> Result<bool> {
        match self.reaches_end() {
            // It is not known. This look counts too: where it comes often, `watch` has none of its own to give up by.
            Err(Error::Unavailable { .. }) if self.alive.elapsed() < PATIENCE => Ok(false),
            known => known,
        }
    }

    fn reaches_end(&mut self) -> Result<bool> {
        self.look()?;
        let (written, since) = (self.client.written(self.lanes.keys().copied())?, Instant::now());
        loop {
            self.ask_ends()?;
            let has_footing = self.lanes.values().all(|lane| lane.footing.is_seen());
            if !has_footing || !self.ready.is_empty() || self.distance().total().is_some_and(|rows| rows > 0) {
                return Ok(false);
            }
            let is_decided =
                |(partition, lane): (&u32, &Lane)| written.get(partition).is_none_or(|to| *to <= lane.next);
            if self.lanes.iter().all(is_decided) || since.elapsed() >= UNDECIDED {
                return Ok(true);
            }
            if self.fetch(WAIT)? {
                return Ok(false);
            }
        }
    }

    fn distance(&self) -> Lag {
        let end = |partition: &u32| self.ends.offsets.get(partition).copied().unwrap_or_default();
        let lag = |(partition, lane): (&u32, &Lane)| (*partition, end(partition).saturating_sub(lane.next));
        Lag(self.lanes.iter().map(lag).collect())
    }
}

/// What an answer lacks that was there before: the broker that gave it may be behind the others. If it is gone for good,
/// the next reader says so when it opens.
fn behind(known: &topic::Topic, found: Option<&topic::Topic>) -> Option<String> {
    match found {
        None => Some("the topic, which was there, is gone, or a broker is behind the others".to_owned()),
        Some(found) if found.partitions < known.partitions => Some(format!(
            "the topic, which had {} partitions, has {}, or a broker is behind the others",
            known.partitions, found.partitions
        )),
        Some(_) => None,
    }
}

impl Reader for KafkaReader {
    fn read(&mut self) -> Result<Read> {
        if self.ready.is_empty() {
            self.watch()?;
        }
        if self.topic.is_none() {
            self.look()?;
            if self.topic.is_none() {
                return Ok(Read::CaughtUp(AGAIN));
            }
        }
        if self.ready.is_empty() && !self.fetch(Duration::ZERO)? && !self.fetch(WAIT)? {
            // Asked at once behind the last message, and after that now and then.
            let due = std::mem::take(&mut self.moved) || self.ends.at.elapsed() >= ENDS_EVERY;
            if due && self.is_at_end()? {
                return Ok(Read::CaughtUp(Duration::ZERO));
            }
        }
        Ok(match self.ready.pop_front() {
            Some((chunk, span)) => {
                self.moved = true;
                Read::Rows(chunk, span)
            }
            None => Read::Pause(Duration::ZERO),
        })
    }

    fn lag(&mut self) -> Result<Lag> {
        if self.topic.is_none() {
            return Ok(Lag::default());
        }
        match self.ask_ends() {
            Ok(()) => Ok(self.distance()),
            Err(Error::Unavailable { .. }) => Ok(Lag::default()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_behind_is_no_word_about_the_topic() {
        let topic = |partitions| topic::Topic { id: Some("id".to_owned()), partitions };
        assert!(behind(&topic(2), None).is_some_and(|reason| reason.contains("behind the others")));
        assert!(behind(&topic(2), Some(&topic(1))).is_some_and(|reason| reason.contains("had 2 partitions, has 1")));
        assert_eq!(behind(&topic(2), Some(&topic(2))), None);
        assert_eq!(behind(&topic(2), Some(&topic(3))), None);
    }
}
