//! Reads a stretch of one partition once more.

use super::Place;
use super::batch::{Batches, Fetched, Message, SETTINGS, is_position_lost};
use super::topic::Client;
use operators_core::error::Result;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a broker may give nothing while there is more to read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one look for more lasts.
const LOOK: Duration = Duration::from_millis(100);

/// The end is told when a broker has waited so long for more.
const WAIT: (&str, &str) = ("fetch.wait.max.ms", "10");

/// Gives each committed message of `[from, to)` in its order, and returns when there can be no more of them. `false`
/// where the beginning of it is gone.
pub(crate) fn scan(
    place: &Place,
    partition: u32,
    stretch: Range<u64>,
    take: &mut dyn FnMut(Message<'_>) -> Result<()>,
) -> Result<bool> {
    if stretch.is_empty() {
        return Ok(true);
    }
    let mut batches = Batches::new(Client::new(place, &[SETTINGS, &[WAIT]].concat())?)?;
    batches.start(partition, stretch.start)?;
    let (mut next, mut gone, mut heard) = (stretch.start, false, Instant::now());
    while next < stretch.end && !gone {
        let any = batches.fetch(LOOK, |fetched| {
            match fetched {
                Fetched::Message(message) => {
                    let at = message.offset();
                    if (next..stretch.end).contains(&at) {
                        take(message)?;
                    }
                    next = at + 1;
                }
                Fetched::End { offset, .. } => next = next.max(offset),
                Fetched::Trouble { code, .. } => gone |= is_position_lost(code),
            }
            Ok(())
        })?;
        if any {
            heard = Instant::now();
            continue;
        }
        batches.client.listen()?;
        if heard.elapsed() > PATIENCE {
            let Range { start, end } = stretch;
            let reason = format!("no more of partition {partition} [{start}, {end}) came after offset {next}");
            return Err(place.unavailable(reason));
        }
    }
    Ok(!gone)
}
