//! Counts the messages of a span again, for `verify`.

use super::begin::ends_early;
use super::footing::written_again;
use crate::client::Place;
use crate::client::batch::Message;
use crate::client::scan::scan;
use crate::client::topic::Client;
use operators_core::error::Result;
use operators_core::position::{Anchor, Span};
use operators_core::stage::{Recount, Removal};
use std::ops::Range;

/// How often a partition is read again when its oldest messages are removed while it is read.
const TRIES: usize = 3;

/// Reads what is left of the span once more, and reports each message to `more`. `anchor` is the last message that was
/// read of the partition, where that is known: a log that lost its end and was written to again has the same offsets.
pub(super) fn count(place: &Place, span: &Span, anchor: Option<Anchor>, more: &mut dyn FnMut(u64)) -> Result<Recount> {
    let Span { partition, from, to, .. } = *span;
    if from == to {
        return Ok(Recount::Complete(0));
    }
    let client = Client::new(place, &[])?;
    let topic = client.settled(partition.saturating_add(1))?;
    if topic.is_none_or(|topic| topic.partitions <= partition) {
        return Ok(Recount::Gone);
    }
    let compaction = match client.is_compacted()? {
        Some(false) => None,
        Some(true) => Some(Removal::Compaction),
        None => Some(Removal::Unknown),
    };
    for _ in 0..TRIES {
        let Range { start: low, end } = client.range_up_to(partition, to.0)?;
        let stretch = from.0.max(low)..to.0.min(end);
        let mut last_read = LastRead::new(anchor.filter(|anchor| stretch.contains(&anchor.at.0)));
        let mut rows = 0;
        let is_whole = scan(place, partition, stretch, &mut |message| {
            last_read.compare(&message);
            rows += 1;
            more(1);
            Ok(())
        })?;
        if !is_whole {
            continue;
        }
        let retention = (low > from.0).then_some(Removal::Retention);
        return Ok(if end < to.0 {
            Recount::Truncated(rows, ends_early(partition, end, to.0))
        } else if let Some(reason) = last_read.contradiction(partition, to.0, compaction.is_some()) {
            Recount::Truncated(rows, reason)
        } else if let Some(removal) = retention.or(compaction) {
            Recount::Partial(rows, removal)
        } else {
            Recount::Complete(rows)
        });
    }
    Err(place
        .unavailable(format!("the oldest messages of partition {partition} are being removed while they are counted")))
}

/// The last message that was read of a partition, looked for in its log.
enum LastRead {
    /// It can't be looked for: it isn't known, or was removed with the oldest messages.
    Unknown,
    /// It hasn't come.
    Missing(Anchor),
    /// It is still there.
    Same,
    /// Its offset belongs to a message of this leader epoch now.
    Other(Anchor, u32),
}

impl LastRead {
    fn new(anchor: Option<Anchor>) -> Self {
        anchor.map_or(Self::Unknown, Self::Missing)
    }

    fn compare(&mut self, message: &Message<'_>) {
        if let Self::Missing(anchor) = *self
            && message.offset() == anchor.at.0
        {
            *self = match message.epoch() {
                Some(epoch) if epoch != anchor.epoch => Self::Other(anchor, epoch),
                _ => Self::Same,
            };
        }
    }

    /// Why the log isn't the one that was read up to `to`, if it isn't; compaction may have removed the message.
    fn contradiction(&self, partition: u32, to: u64, may_be_compacted: bool) -> Option<String> {
        match *self {
            Self::Missing(anchor) if !may_be_compacted => {
                Some(written_again(partition, to, anchor, "it is not there any more"))
            }
            Self::Other(anchor, epoch) => {
                let now = format!("now there is {} of leader epoch {epoch}", anchor.at);
                Some(written_again(partition, to, anchor, &now))
            }
            Self::Unknown | Self::Missing(_) | Self::Same => None,
        }
    }
}
