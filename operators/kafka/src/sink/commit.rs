//! How a run takes the flow over, and how it commits.

use super::Kafka;
use super::producer::Producer;
use super::progress::ProgressTopic;
use super::record::{Entry, Record};
use super::send::{self, Failure, Lanes};
use super::written::Written;
use crate::client::Place;
use crate::client::topic::{self, Client, Moment, Topic};
use operators_core::error::{Error, Result};
use operators_core::gathered::Gathered;
use operators_core::progress::{Commit, Progress, Run, Version};
use operators_core::stage::Committer;
use rdkafka::ClientConfig;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a batch where neither the topic nor the file asks for fewer, and the queue has room for one of each
/// partition: a queue that is full of batches which are not would wait for `linger.ms`.
const BATCH: u64 = 1_000_000;
/// What the file may set otherwise.
const DEFAULTS: [(&str, &str); 2] = [
    // A commit has all sent at once. Until then only full batches go.
    ("linger.ms", "100"),
    // How long the brokers keep a transaction open that its producer has left; all others wait that long to read on.
    ("transaction.timeout.ms", "60000"),
];
/// KiB of keys and values that the library may hold for each partition, beside the rows that we hold. Its thread spins
/// while it has more than the few requests that may be without an answer, and takes a core from a broker on the same
/// machine.
const SHARE: u64 = 512;
/// KiB for all partitions, however few or many there are.
const QUEUE: RangeInclusive<u64> = 2_048..=16_384;
/// What the library calls this.
const QUEUE_SIZE: &str = "queue.buffering.max.kbytes";
/// What the library may reckon for a message beyond its bytes.
const RECKONED: u64 = 1_024;

/// How long a commit waits until readers see it.
const APPEARS: Duration = Duration::from_secs(2);
/// Pause between two looks whether they do.
const AGAIN: Duration = Duration::from_millis(1);

/// Commits the batches of one run.
pub(super) struct KafkaCommitter {
    kafka: Arc<Kafka>,
    client: Client,
    progress: ProgressTopic,
    topic: Topic,
    run: Run,
    /// `None` after a commit that failed: what became of it, the next `open` finds out.
    producer: Option<Producer>,
    /// Offset of the entry by which this run has taken over.
    owner: u64,
    last: Option<Record>,
    /// Largest batch of the topic.
    limit: u64,
    /// Largest batch of the topic of dead letters, once there were some.
    dead_letters: Option<u64>,
}

impl KafkaCommitter {
    /// Shuts older producers out, and only then reads what is committed.
    pub(super) fn open(
        kafka: Arc<Kafka>,
        client: Client,
        progress: ProgressTopic,
        topic: Topic,
        run: &Run,
    ) -> Result<Self> {
        let place = &kafka.place;
        let limit = limit(&client)?;
        let lanes = Lanes { partitions: kafka.partitions };
        let config = kafka.producer(&run.flow, limit);
        let producer = Producer::open(&config, place, lanes.count(), kafka.patience, kafka.failpoints.clone());
        let mut producer = producer.map_err(|error| starting(place, error))?;
        let claimed = claim(progress.place(), &mut producer, run, lanes);
        let owner = claimed.map_err(|failure| starting(place, told(&producer, place, failure)))?;
        let last = progress.up_to(owner)?.last;
        if let Some(last) = &last
            && last.topic.is_some()
            && last.topic != topic.id
        {
            return Err(kafka.gone(last.progress.totals.written, &progress));
        }
        let (run, producer) = (run.clone(), Some(producer));
        Ok(Self { kafka, client, progress, topic, run, producer, owner, last, limit, dead_letters: None })
    }

    /// The last commit.
    pub(super) fn last(&self) -> Option<&Progress> {
        self.last.as_ref().map(|last| &last.progress)
    }

    /// Refuses a topic that is not what it was when the run began.
    fn unchanged(&self) -> Result<()> {
        // One that is gone is the next run's to refuse: a broker that is behind the others may not know it for a while.
        let topic = self.client.appears()?;
        self.kafka.fits(&topic)?;
        match topic == self.topic {
            true => Ok(()),
            false => Err(self.kafka.place.refused(
                "the topic was deleted and created again while the flow ran; nothing more was sent. Start the flow \
                 again to see where it stands",
            )),
        }
    }

    /// Largest batch of the topic of dead letters, which is created with the first of them.
    fn dead_letters(&mut self, place: &Place) -> Result<u64> {
        if let Some(limit) = self.dead_letters {
            return Ok(limit);
        }
        let client = Client::new(place, &[])?;
        match &self.kafka.create {
            Some(create) if client.topic()?.is_none() => {
                topic::create(place, 1, create.replication, &[])?;
                client.appears()?;
            }
            None if client.settled(0)?.is_none() => {
                return Err(place.refused(
                    "there is no such topic for the rows that stages rejected. Create it with one partition, or let \
                     the sink do it by its key `create`",
                ));
            }
            _ => {}
        }
        let limit = limit(&client)?;
        self.dead_letters = Some(limit);
        Ok(limit)
    }

    fn publish(&mut self, producer: &mut Producer, gathered: &Gathered, commit: Commit) -> Result<Record, Failure> {
        self.unchanged()?;
        let lanes = Lanes { partitions: self.kafka.partitions };
        let rejected = match gathered.dead_letters.is_empty() {
            true => None,
            false => {
                let place = self.kafka.dead_letters(&self.run.flow);
                let limit = self.dead_letters(&place)?;
                Some((place, limit))
            }
        };
        producer.begin().map_err(Failure::at("begin a transaction"))?;
        send::rows(&self.kafka, producer, &gathered.rows, self.limit)?;
        if let Some((place, limit)) = &rejected {
            send::dead_letters(place, producer, &gathered.dead_letters, *limit, lanes)?;
        }
        const STORE: &str = "store the messages";
        let stored = lanes.stored(&producer.deliver(STORE).map_err(Failure::at(STORE))?);
        let record = Record::after(self.last.as_ref(), commit, self.topic.id.clone(), stored);
        let record = record.map_err(|reason| self.kafka.place.refused(format!("{reason}. Nothing was committed")))?;
        let entry = send::entry(self.progress.place(), producer, &Entry::Commit(Box::new(record.clone())), lanes)?;
        producer.commit().map_err(Failure::at("commit"))?;
        self.appear(&record, entry);
        Ok(record)
    }

    /// Waits until readers see what was committed: the brokers answer before, and whoever reads to the end of the topic
    /// at once would miss it. Not for long: another program's open transaction holds readers up as well.
    fn appear(&self, record: &Record, entry: Written) {
        let since = Instant::now();
        let seen = || -> Result<bool> {
            let ends = self.client.offsets(record.rows.keys().copied(), Moment::End)?;
            let behind =
                |(partition, written): (&u32, &Written)| ends.get(partition).is_none_or(|&end| end < written.to);
            Ok(!record.rows.iter().any(behind) && self.progress.range()?.end >= entry.to)
        };
        while since.elapsed() < APPEARS {
            match seen() {
                Ok(true) => return,
                Ok(false) => std::thread::sleep(AGAIN),
                // It is committed all the same.
                Err(error) => return tracing::warn!("version {} is committed; {error}", record.progress.version),
            }
        }
    }

    /// A producer that is shut out may be so by a newer run, or by the brokers, which end transactions that take too
    /// long: who wrote the newest entry tells.
    fn shut_out(&self, version: Version, reason: &str) -> Error {
        let place = &self.kafka.place;
        let held = match self.progress.look() {
            Ok(Some(held)) if held.at > self.owner && held.owner != self.run.id => held,
            Ok(_) => {
                return place.unavailable(format!(
                    "{reason}; no other run has taken over, so a transaction took too long. If it does so again, lower \
                     commit.bytes or commit.rows, or raise the sink's option transaction.timeout.ms"
                ));
            }
            Err(unread) => return place.unavailable(format!("{reason}, and who did it cannot be read: {unread}")),
        };
        let stands = match &held.last {
            Some(Record { progress, .. }) => {
                format!("the last commit is version {} by run {}", progress.version, progress.run.id)
            }
            None => "nothing is committed yet".to_owned(),
        };
        let reason = format!(
            "run {} owns flow {} and {stands}; run {} wanted to commit version {version}",
            held.owner, self.run.flow, self.run.id
        );
        Error::Fenced { place: place.to_string(), reason }
    }
}

impl Committer for KafkaCommitter {
    fn commit(&mut self, mut commit: Commit) -> Result<()> {
        let place = &self.kafka.place;
        let gathered = Gathered::take(&mut commit, &self.run, &place.to_string())?;
        let version = commit.progress.version;
        let next = self.last().map_or(Version::FIRST, |last| last.version.next());
        if version != next {
            return Err(Error::Other(format!("{place}: version {version} was not committed: {next} is the next")));
        }
        let Some(mut producer) = self.producer.take() else {
            return Err(Error::Other(format!("{place}: the outcome of the last commit is not known; start again")));
        };
        match self.publish(&mut producer, &gathered, commit) {
            Ok(record) => {
                (self.last, self.producer) = (Some(record), Some(producer));
                Ok(())
            }
            Err(failure) => {
                // Readers of the topic wait for the end of an open transaction; the error to tell is the first one.
                let _ = producer.abort();
                match told(&producer, &self.kafka.place, failure) {
                    Error::Fenced { reason, .. } => Err(self.shut_out(version, &reason)),
                    error => Err(error),
                }
            }
        }
    }
}

impl Kafka {
    /// The settings of a flow's producer.
    fn producer(&self, flow: &str, limit: u64) -> ClientConfig {
        let mut config = self.place.client.clone();
        let asked = |name| config.get(name).and_then(|bytes| bytes.parse::<u64>().ok());
        // What a message may have is decided by its exact size, before it is handed over.
        let message = limit.max(BATCH) + RECKONED;
        // Dead letters have a partition of their own.
        let partitions = u64::from(self.partitions) + 1;
        let queue = (SHARE * partitions).clamp(*QUEUE.start(), *QUEUE.end());
        let queue = asked(QUEUE_SIZE).unwrap_or(queue).max(message.div_ceil(1_024));
        let batch = asked("batch.size").unwrap_or(BATCH).min(limit).min(queue * 1_024 / partitions);
        config
            .set("transactional.id", self.name(flow))
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("batch.size", batch.to_string())
            .set("message.max.bytes", message.to_string())
            .set(QUEUE_SIZE, queue.to_string());
        for (name, value) in DEFAULTS {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        config
    }
}

/// Bytes of the largest batch that a topic takes.
fn limit(client: &Client) -> Result<u64> {
    let [limit] = client.settings(["max.message.bytes"])?;
    let limit = limit.and_then(|limit| limit.parse().ok());
    limit.ok_or_else(|| client.place.refused("its brokers do not say what its max.message.bytes is"))
}

/// Makes the run the owner of the flow; gives the offset of the entry that says so.
fn claim(place: &Place, producer: &mut Producer, run: &Run, lanes: Lanes) -> Result<u64, Failure> {
    producer.begin().map_err(Failure::at("begin a transaction"))?;
    let stored = send::entry(place, producer, &Entry::Owner(run.clone()), lanes)?;
    producer.commit().map_err(Failure::at("take the flow over"))?;
    Ok(stored.from)
}

/// A failure in words.
fn told(producer: &Producer, place: &Place, failure: Failure) -> Error {
    match failure {
        Failure::Step { doing, error } => producer.explain(place, doing, &error),
        Failure::Ours(error) => error,
    }
}

/// Two runs that start at the same time shut each other out before one of them owns the flow: that passes.
fn starting(place: &Place, error: Error) -> Error {
    match error {
        Error::Fenced { reason, .. } => place.unavailable(format!("{reason}: another run starts at the same time")),
        error => error,
    }
}
