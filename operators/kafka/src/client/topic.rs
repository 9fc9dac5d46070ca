//! Asks about a topic: its identity, its partitions, their offsets; creates one.

pub(crate) use super::describe::{Operation, Topic};

use super::error::{self, Listener};
use super::{Place, TIMEOUT, describe};
use operators_core::error::{Error, Result};
use operators_core::runtime::wait;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// How long a topic may be unknown to a broker, and a partition without a leader that knows itself.
const SETTLES: Duration = Duration::from_secs(2);

/// Pause between two questions whether something new is there.
const AGAIN: Duration = Duration::from_millis(10);

/// Which offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The first message that is still there.
    Beginning,
    /// Behind the last message that is committed: the last stable offset.
    End,
    /// The first message at or after this time, in milliseconds since 1970 UTC; the end where there is none.
    Time(i64),
}

/// A client that belongs to no group: it asks, and reads what it is told to. Every question has a time-out.
pub(crate) struct Client {
    pub(crate) consumer: BaseConsumer<Listener>,
    pub(crate) place: Place,
}

impl Client {
    /// A client with these settings, where the file does not say otherwise.
    pub(crate) fn new(place: &Place, settings: &[(&str, &str)]) -> Result<Self> {
        let config = place.reading(settings);
        let listener = Listener::new(place);
        let consumer =
            config.create_with_context(listener).map_err(|error| error::failed(place, "start a client", &error))?;
        Ok(Self { consumer, place: place.clone() })
    }

    /// The topic as it is now; `None` where there is none of this name.
    pub(crate) fn topic(&self) -> Result<Option<Topic>> {
        // A wrong password is no answer to the question, and need not be waited for.
        let go_on = || self.listen().is_ok();
        describe::topic(self.consumer.client(), &self.place.topic, TIMEOUT, go_on)
            .map_err(|error| self.failed("ask about the topic", &error))
    }

    /// What this user may do with the topic.
    pub(crate) fn operations(&self) -> Result<BTreeSet<Operation>> {
        let go_on = || self.listen().is_ok();
        soon(|| {
            let allowed = describe::operations(self.consumer.client(), &self.place.topic, TIMEOUT, go_on);
            let allowed = allowed.map_err(|error| self.failed("ask what is allowed with the topic", &error))?;
            allowed.ok_or_else(|| self.missing())
        })
    }

    /// What some settings of the topic are; `None` for one that its brokers do not know.
    pub(crate) fn settings<const N: usize>(&self, names: [&str; N]) -> Result<[Option<String>; N]> {
        let go_on = || self.listen().is_ok();
        let settings = soon(|| {
            describe::settings(self.consumer.client(), &self.place.topic, TIMEOUT, go_on)
                .map_err(|error| self.failed("ask for the settings of the topic", &error))
        })?;
        Ok(names.map(|name| settings.get(name).cloned()))
    }

    /// Whether the brokers remove messages from the middle of the topic when later ones have the same key; `None` where
    /// they do not tell this user.
    pub(crate) fn is_compacted(&self) -> Result<Option<bool>> {
        match self.settings(["cleanup.policy"]) {
            Ok([policy]) => Ok(Some(policy.is_some_and(|policy| policy.contains("compact")))),
            // A login that is refused is no answer to this.
            Err(Error::Refused { .. }) => self.listen().map(|()| None),
            Err(error) => Err(error),
        }
    }

    /// The topic with so many partitions at least, or what brokers say of it after a while: they learn of topics one
    /// after the other, and one that has just started knows none.
    pub(crate) fn settled(&self, partitions: u32) -> Result<Option<Topic>> {
        let since = Instant::now();
        loop {
            let found = self.topic()?;
            if found.as_ref().is_some_and(|topic| topic.partitions >= partitions) || since.elapsed() >= TIMEOUT {
                return Ok(found);
            }
            thread::sleep(AGAIN);
        }
    }

    /// The topic, which is there or was just created.
    pub(crate) fn appears(&self) -> Result<Topic> {
        self.settled(0)?.ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Error {
        self.place.unavailable("there is no such topic")
    }

    /// Copies of each partition of the topic, the least where they differ.
    pub(crate) fn replication(&self) -> Result<u32> {
        soon(|| {
            let asked = self.consumer.fetch_metadata(Some(&self.place.topic), TIMEOUT);
            let asked = asked.map_err(|error| self.failed("ask about the topic", &error))?;
            let partitions = asked.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
            let copies = partitions.map(|partition| partition.replicas().len() as u32).min();
            copies.ok_or_else(|| self.missing())
        })
    }

    /// One offset of each of these partitions.
    pub(crate) fn offsets(
        &self,
        partitions: impl IntoIterator<Item = u32>,
        moment: Moment,
    ) -> Result<BTreeMap<u32, u64>> {
        let partitions: Vec<_> = partitions.into_iter().collect();
        soon(|| self.offsets_now(&partitions, moment))
    }

    fn offsets_now(&self, partitions: &[u32], moment: Moment) -> Result<BTreeMap<u32, u64>> {
        let what = match moment {
            Moment::Beginning => "beginning",
            Moment::End => "end",
            Moment::Time(_) => "message of that time",
        };
        let failed = |error| self.failed(&format!("find the {what} of a partition"), &error);
        let asked = match moment {
            Moment::Beginning => Offset::Beginning,
            Moment::End => Offset::End,
            Moment::Time(time) => Offset::Offset(time),
        };
        let mut list = TopicPartitionList::new();
        for &partition in partitions {
            list.add_partition_offset(&self.place.topic, partition.cast_signed(), asked).map_err(failed)?;
        }
        if list.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let mut offsets = BTreeMap::new();
        let mut behind_all = Vec::new();
        for found in self.consumer.offsets_for_times(list, TIMEOUT).map_err(failed)?.elements() {
            let partition = found.partition().cast_unsigned();
            found.error().map_err(|error| self.failed(&format!("find the {what} of partition {partition}"), &error))?;
            match found.offset() {
                Offset::Offset(offset) => drop(offsets.insert(partition, offset.cast_unsigned())),
                Offset::End if moment != Moment::End => behind_all.push(partition),
                other => {
                    let reason = format!("the {what} of partition {partition} is {other:?}");
                    return Err(self.place.unavailable(reason));
                }
            }
        }
        if !behind_all.is_empty() {
            offsets.extend(self.offsets(behind_all, Moment::End)?);
        }
        Ok(offsets)
    }

    /// Where each of these partitions ends, with messages of transactions that are not decided yet.
    pub(crate) fn written(&self, partitions: impl IntoIterator<Item = u32>) -> Result<BTreeMap<u32, u64>> {
        let failed = |error| self.failed("find the end of a partition", &error);
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(&self.place.topic, partition.cast_signed(), Offset::End).map_err(failed)?;
        }
        if list.count() == 0 {
            return Ok(BTreeMap::new());
        }
        describe::written(self.consumer.client(), &list, TIMEOUT, || self.listen().is_ok()).map_err(failed)
    }

    /// The offsets of a partition: from the first that it still has to the one after its last committed message.
    pub(crate) fn range(&self, partition: u32) -> Result<Range<u64>> {
        let of = |offsets: BTreeMap<u32, u64>| offsets.get(&partition).copied().unwrap_or_default();
        let low = of(self.offsets([partition], Moment::Beginning)?);
        Ok(low..of(self.offsets([partition], Moment::End)?))
    }

    /// The same once it reaches up to `to`, or what the brokers say of it after a while: what has just been committed is
    /// seen a moment later, and one that was stopped goes on as the leader that it was and knows of nothing since.
    pub(crate) fn range_up_to(&self, partition: u32, to: u64) -> Result<Range<u64>> {
        let since = Instant::now();
        loop {
            match self.range(partition)? {
                range if range.end < to && since.elapsed() < TIMEOUT => thread::sleep(AGAIN),
                range => return Ok(range),
            }
        }
    }

    /// Hears what the client has to say besides; call it from time to time, or it piles up.
    pub(crate) fn listen(&self) -> Result<()> {
        self.hear();
        self.consumer.context().refusal(&self.place).map_or(Ok(()), Err)
    }

    /// What a failed call means.
    pub(crate) fn failed(&self, doing: &str, error: &KafkaError) -> Error {
        self.hear();
        self.consumer.context().explain(&self.place, doing, error)
    }

    /// Without any time a poll would end at the first line of a log.
    fn hear(&self) {
        while self.consumer.poll(Duration::from_millis(1)).is_some() {}
    }
}

/// Asks again for a moment: a topic or a partition that has just been made, or has just moved, says so at once.
fn soon<T>(ask: impl Fn() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    loop {
        match ask() {
            Err(Error::Unavailable { .. }) if since.elapsed() < SETTLES => thread::sleep(AGAIN),
            answered => return answered,
        }
    }
}

/// Creates a topic; one that is there already, perhaps since a moment ago, stays as it is.
pub(crate) fn create(
    place: &Place,
    partitions: u32,
    replication: Option<u32>,
    settings: &[(&str, &str)],
) -> Result<()> {
    ask_for(place, partitions, replication, settings, &admin_options())
}

/// Asks whether a topic could be created, and creates none.
pub(crate) fn may_create(
    place: &Place,
    partitions: u32,
    replication: Option<u32>,
    settings: &[(&str, &str)],
) -> Result<()> {
    ask_for(place, partitions, replication, settings, &admin_options().validate_only(true))
}

fn ask_for(
    place: &Place,
    partitions: u32,
    replication: Option<u32>,
    settings: &[(&str, &str)],
    options: &AdminOptions,
) -> Result<()> {
    // The brokers have a default.
    let replication = replication.map_or(-1, u32::cast_signed);
    let mut topic = NewTopic::new(&place.topic, partitions.cast_signed(), TopicReplication::Fixed(replication));
    for (name, value) in settings {
        topic = topic.set(name, value);
    }
    let doing = "create the topic";
    let (admin, since) = (admin(place)?, Instant::now());
    let created = loop {
        let created = wait(async { Ok(admin.create_topics([&topic], options).await) });
        let created = created.and_then(|created| created.map_err(|error| error::failed(place, doing, &error)));
        let refused = created.map(|topics| topics.into_iter().find_map(Result::err).map(|(_, code)| code));
        match refused {
            // Brokers that have just started, or were stopped, do not count for a moment.
            Ok(Some(Code::InvalidReplicationFactor)) if since.elapsed() < TIMEOUT => thread::sleep(AGAIN),
            Ok(None | Some(Code::TopicAlreadyExists)) => break Ok(()),
            Ok(Some(code)) => break Err(error::coded(place, doing, code)),
            Err(error) => break Err(error),
        }
    };
    end(admin);
    created
}

fn admin(place: &Place) -> Result<AdminClient<Listener>> {
    let admin = place.client.create_with_context(Listener::new(place));
    admin.map_err(|error| error::failed(place, "start a client", &error))
}

/// Lets a client end by itself: it waits until its thread has listened for a tenth of a second.
fn end(admin: AdminClient<Listener>) {
    // Where no thread can be started, it ends here.
    let _ = thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(admin));
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
