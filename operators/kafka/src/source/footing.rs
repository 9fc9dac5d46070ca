//! Whether a log is still the one that a position was stored for: one that lost its end, and was written to again, has
//! every offset that is asked for.

use super::{ANEW, Shared};
use crate::client::batch::{Fetched, Message};
use crate::client::topic::Client;
use operators_core::error::Result;
use operators_core::position::{Anchor, Position};

/// The last message before a position. Reading begins with it, where the topic still has it.
pub(super) struct Footing {
    anchor: Option<Anchor>,
    is_seen: bool,
}

/// Something came that does not follow from the anchor.
pub(super) struct Slip {
    anchor: Anchor,
    /// Where the flow stands.
    next: u64,
    now: Now,
}

/// What came where the anchor was to come.
enum Now {
    /// A message before the position that was not there when the position was stored.
    Another { at: u64, epoch: Option<u32> },
    /// What is behind the position.
    Nothing,
    /// The end, though there was more when reading began.
    End { at: u64 },
}

impl Footing {
    pub(super) fn new(anchor: Option<Anchor>) -> Self {
        Self { anchor, is_seen: anchor.is_none() }
    }

    pub(super) fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    /// Until then it is not known whether anything behind the position may be given.
    pub(super) fn is_seen(&self) -> bool {
        self.is_seen
    }

    /// Goes on to a message that is given.
    pub(super) fn step(&mut self, message: &Message<'_>) {
        self.anchor = message.epoch().map(|epoch| Anchor { at: Position(message.offset()), epoch });
        self.is_seen = true;
    }

    /// Goes on though the anchor is not there.
    pub(super) fn go_on(&mut self) {
        self.is_seen = true;
    }

    /// Looks at what comes while the flow stands at `next`.
    pub(super) fn slip(&mut self, fetched: &Fetched<'_>, next: u64) -> Option<Slip> {
        let anchor = self.anchor?;
        let slip = |now| Some(Slip { anchor, next, now });
        let message = match fetched {
            Fetched::Message(message) if message.offset() < next => message,
            Fetched::End { offset, .. } if !self.is_seen && *offset <= anchor.at.0 => {
                return slip(Now::End { at: *offset });
            }
            Fetched::Message(_) | Fetched::End { .. } if !self.is_seen => return slip(Now::Nothing),
            _ => return None,
        };
        let (at, epoch) = (message.offset(), message.epoch());
        self.is_seen |= at == anchor.at.0;
        let is_same = at < anchor.at.0 || at == anchor.at.0 && epoch.is_none_or(|epoch| epoch == anchor.epoch);
        if is_same { None } else { slip(Now::Another { at, epoch }) }
    }
}

impl Slip {
    /// Refuses a log that is another. Where the anchor is not there it is one, unless retention or compaction may have
    /// taken that.
    pub(super) fn judge(self, shared: &Shared, client: &Client, partition: u32) -> Result<()> {
        let Self { anchor, next, now } = self;
        let now = match now {
            Now::Another { at, epoch: Some(epoch) } => format!("now there is {at} of leader epoch {epoch}"),
            Now::Another { at, epoch: None } => format!("now there is {at}"),
            Now::Nothing if client.range(partition)?.start > anchor.at.0 || client.is_compacted()?.unwrap_or(true) => {
                return Ok(());
            }
            Now::Nothing => "it is not there any more".to_owned(),
            // If the log really was cut, the next reader is refused by its position.
            Now::End { at } => {
                let reason = format!("partition {partition} ends at {at}, or a broker is behind the others");
                return Err(shared.place.unavailable(reason));
            }
        };
        let cut = written_again(partition, next, anchor, &now);
        Err(shared.place.refused(format!("{cut}. What was written since then before {next} would be lost; {ANEW}")))
    }
}

/// What is said of a log that lost its end and was written to again; `now` is what is in the place of the last message
/// read.
pub(super) fn written_again(partition: u32, next: u64, anchor: Anchor, now: &str) -> String {
    let Anchor { at, epoch } = anchor;
    format!(
        "partition {partition} was cut before {next}, where the flow stands, and written to again: the last message read \
         was {at} of leader epoch {epoch}, and {now}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_before_the_anchor_is_a_broker_s_that_is_behind() {
        let now = |end| {
            let mut footing = Footing::new(Some(Anchor { at: Position(7), epoch: 3 }));
            footing.slip(&Fetched::End { partition: 0, offset: end }, 9).map(|slip| slip.now)
        };
        assert!(matches!(now(6), Some(Now::End { at: 6 })));
        assert!(matches!(now(7), Some(Now::End { at: 7 })));
        assert!(matches!(now(8), Some(Now::Nothing)), "retention, compaction, or another log");
        assert!(Footing::new(None).slip(&Fetched::End { partition: 0, offset: 6 }, 9).is_none());
    }
}
