//! Where partitions are read from: at the position of the last commit, if the topic still has it, or at their start.

use super::{Shared, Start};
use crate::client::Place;
use crate::client::topic::{Client, Moment};
use chrono::DateTime;
use operators_core::error::{Problem, Result};
use operators_core::position::{Anchor, Checkpoint, Position};
use std::collections::BTreeMap;
use std::ops::Range;

/// Where the first run begins, as the file says it.
pub(super) enum First {
    At(Moment),
    Offsets(BTreeMap<u32, u64>),
}

impl First {
    pub(super) fn new(start: &Start) -> Result<Self, Problem> {
        let problem = |key: &[&str], message: String, help: &str| Problem {
            at: ["start"].iter().chain(key).map(|&key| key.to_owned()).collect(),
            message,
            help: Some(help.to_owned()),
        };
        match start {
            Start::Earliest => Ok(Self::At(Moment::Beginning)),
            Start::Latest => Ok(Self::At(Moment::End)),
            Start::Timestamp(text) => match DateTime::parse_from_rfc3339(text) {
                Ok(time) if time.timestamp_millis() >= 0 => Ok(Self::At(Moment::Time(time.timestamp_millis()))),
                Ok(_) => Err(problem(
                    &["timestamp"],
                    format!("`{text}` is before 1970, where Kafka's time begins"),
                    "write a later time, or start = \"earliest\"",
                )),
                Err(error) => {
                    let help = "write a day, a time and a zone: \"2026-01-01T00:00:00Z\"";
                    Err(problem(&["timestamp"], format!("`{text}` is not a time: {error}"), help))
                }
            },
            Start::Offsets(offsets) => {
                let offset = |(written, offset): (&String, &u64)| match written.parse::<i32>() {
                    Ok(partition) if partition >= 0 => Ok((partition.cast_unsigned(), *offset)),
                    _ => {
                        let message = format!("`{written}` is not the number of a partition");
                        Err(problem(&["offsets", written], message, "write { 0 = 17, 1 = 42 }"))
                    }
                };
                offsets.iter().map(offset).collect::<Result<_, _>>().map(Self::Offsets)
            }
        }
    }

    /// Refuses a start in partitions that the topic does not have.
    pub(super) fn check(&self, place: &Place, partitions: u32) -> Result<()> {
        let Self::Offsets(offsets) = self else { return Ok(()) };
        match offsets.range(partitions..).next() {
            Some((partition, _)) => Err(place.refused(format!(
                "`start` names partition {partition}, and the topic has {partitions} partitions, counted from 0"
            ))),
            None => Ok(()),
        }
    }
}

/// Where a partition is read from.
pub(super) struct Begin {
    pub(super) partition: u32,
    pub(super) at: u64,
    /// The last message before it, where the topic still has that.
    pub(super) anchor: Option<Anchor>,
    /// Behind the last message when it was asked.
    pub(super) end: u64,
    /// It has no position yet: the first commit gives it one, so that it never begins anywhere else.
    pub(super) is_new: bool,
}

/// Where a first run begins each partition, asked once: neither a restart nor a worker that comes late may begin it
/// elsewhere. Nothing is to be remembered where it is read from its beginning, like a partition that is added later.
pub(super) fn starts(shared: &Shared) -> Result<Checkpoint> {
    if matches!(shared.first, First::At(Moment::Beginning)) {
        return Ok(Checkpoint::default());
    }
    if let Some(begun) = &shared.known().begun {
        return Ok(checkpoint(begun));
    }
    let client = Client::new(&shared.place, &[])?;
    let mut begun = BTreeMap::new();
    // A topic that comes later is read whole, so that a broker which is behind the others must not hide this one.
    if let Some(topic) = client.settled(0)? {
        shared.same(&topic)?;
        shared.first.check(&shared.place, topic.partitions)?;
        begun = match &shared.first {
            First::At(moment) => client.offsets(0..topic.partitions, *moment)?,
            First::Offsets(offsets) => {
                let mut begun = client.offsets(0..topic.partitions, Moment::Beginning)?;
                begun.extend(offsets);
                begun
            }
        };
    }
    Ok(checkpoint(shared.known().begun.insert(begun)))
}

fn checkpoint(begun: &BTreeMap<u32, u64>) -> Checkpoint {
    Checkpoint(begun.iter().map(|(partition, at)| (*partition, Position(*at))).collect())
}

/// Finds where to read these partitions from, and refuses positions that the topic does not have. Those that have none,
/// and were not there when a first run began, are new, and have a beginning.
pub(super) fn begin(shared: &Shared, client: &Client, partitions: &[u32], from: &Checkpoint) -> Result<Vec<Begin>> {
    let lows = client.offsets(partitions.iter().copied(), Moment::Beginning)?;
    let ends = client.offsets(partitions.iter().copied(), Moment::End)?;
    let (begun, anchors) = {
        let known = shared.known();
        (known.begun.clone().unwrap_or_default(), known.anchors.clone())
    };
    let mut begins = Vec::new();
    for &partition in partitions {
        let of = |offsets: &BTreeMap<u32, u64>| offsets.get(&partition).copied();
        let (low, end) = (of(&lows).unwrap_or_default(), of(&ends).unwrap_or_default());
        let position = from.position(partition).map(|position| position.0);
        let at = position.or_else(|| of(&begun)).unwrap_or(low);
        let end = check(shared, client, partition, at, low..end)?;
        let anchor = anchors.0.get(&partition).copied().filter(|anchor| (low..at).contains(&anchor.at.0));
        begins.push(Begin { partition, at, anchor, end, is_new: position.is_none() });
    }
    let new = begins.iter().filter(|begin| begin.is_new).map(|begin| (begin.partition, begin.at));
    shared.known().begun.get_or_insert_default().extend(new);
    Ok(begins)
}

/// Refuses a position that the partition, of this range, does not have any more, or not yet. Gives its end.
pub(super) fn check(shared: &Shared, client: &Client, partition: u32, at: u64, range: Range<u64>) -> Result<u64> {
    let Range { start: low, end } = if at > range.end { client.range_up_to(partition, at)? } else { range };
    if at < low {
        return Err(shared.lost(&format!(
            "partition {partition} begins at {low} now, and the flow stands at {at}: {} offsets are gone by retention \
             or by hand",
            low - at
        )));
    }
    if at > end {
        return Err(shared.lost(&ends_early(partition, end, at)));
    }
    Ok(end)
}

/// What is said of a partition that ends before what was read of it.
pub(super) fn ends_early(partition: u32, end: u64, read: u64) -> String {
    format!(
        "partition {partition} ends at {end}, and the flow stands at {read}: the topic was truncated, or restored from an \
         old copy"
    )
}
