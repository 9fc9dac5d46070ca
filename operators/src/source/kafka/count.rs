//! Counts the messages of a span anew, for `verify`.

use crate::error::Result;
use crate::kafka::Place;
use crate::kafka::scan::scan;
use crate::kafka::topic::Client;
use crate::position::Span;

/// Reads the span once more, telling of each message; `None` when the topic has not all of it any more, or may have removed some of it.
pub(super) fn count(place: &Place, span: &Span, more: &mut dyn FnMut(u64)) -> Result<Option<u64>> {
    if span.from == span.to {
        return Ok(Some(0));
    }
    let client = Client::new(place, &[])?;
    let there =
        client.settled(span.partition.saturating_add(1))?.is_some_and(|topic| span.partition < topic.partitions);
    let compacted = client.is_compacted()?;
    if !there || compacted == Some(true) {
        return Ok(None);
    }
    let (low, end) = client.range(span.partition)?;
    if low > span.from.0 || end < span.to.0 {
        return Ok(None);
    }
    let mut counted = 0;
    let whole = scan(place, span.partition, span.from.0..span.to.0, &mut |_| {
        counted += 1;
        more(1);
        Ok(())
    })?;
    // Who may not know what became of messages cannot call them lost.
    let is_told = counted >= span.rows || compacted.is_some();
    Ok((whole && is_told).then_some(counted))
}
