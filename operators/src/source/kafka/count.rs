//! Counts the messages of a span anew, for `verify`.

use crate::error::Result;
use crate::kafka::Place;
use crate::kafka::batch::{Batches, Fetched};
use crate::kafka::topic::{self, Client};
use crate::position::Span;
use std::time::{Duration, Instant};

/// How long a broker may give nothing while there is more to read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the span once more; `None` when the topic has not all of it any more, or may have removed some of it.
pub(super) fn count(place: &Place, span: &Span) -> Result<Option<u64>> {
    if span.from == span.to {
        return Ok(Some(0));
    }
    let client = Client::new(place, super::reader::SETTINGS)?;
    let there = client.topic()?.is_some_and(|topic| span.partition < topic.partitions);
    if !there || topic::is_compacted(place)? {
        return Ok(None);
    }
    let (low, end) = client.range(span.partition)?;
    if low > span.from.0 || end < span.to.0 {
        return Ok(None);
    }
    let mut batches = Batches::new(client)?;
    batches.start(span.partition, span.from.0)?;
    let (mut counted, mut next, mut gone, mut heard) = (0, span.from.0, false, Instant::now());
    while next < span.to.0 && !gone {
        let any = batches.fetch(Duration::from_secs(1), |fetched| {
            match fetched {
                Fetched::Message(message) => {
                    counted += u64::from((next..span.to.0).contains(&message.offset()));
                    next = message.offset() + 1;
                }
                Fetched::End { offset, .. } => next = next.max(offset),
                Fetched::Trouble { code, .. } => gone |= super::reader::is_position_lost(code),
            }
            Ok(())
        })?;
        if any {
            heard = Instant::now();
            continue;
        }
        batches.client.listen()?;
        if heard.elapsed() > PATIENCE {
            return Err(place.unavailable(format!("no more of {span} came after offset {next}")));
        }
    }
    Ok((!gone).then_some(counted))
}
