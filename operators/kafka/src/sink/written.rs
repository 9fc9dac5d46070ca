//! Where the messages of a flow are in one partition.

use serde::{Deserialize, Serialize};

/// The messages that one flow has put into one partition: so many of them, in `[from, to)`.
///
/// There are fewer than `to - from`, as the ends of transactions have offsets too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// Offset of the first.
    pub(super) from: u64,
    /// Offset after the last.
    pub(super) to: u64,
    /// How many.
    pub(super) messages: u64,
}

impl Written {
    /// Nothing yet, from an offset on.
    pub(super) fn at(offset: u64) -> Self {
        Self { from: offset, to: offset, messages: 0 }
    }

    /// One more message, in whatever order they are reported.
    pub(super) fn add(&mut self, offset: u64) {
        self.from = self.from.min(offset);
        self.to = self.to.max(offset + 1);
        self.messages += 1;
    }

    /// Joins what was written after it; `None` when that lies before its end, in a log that was cut.
    pub(super) fn then(self, next: Self) -> Option<Self> {
        let follows = next.from >= self.to;
        follows.then_some(Self { from: self.from, to: next.to, messages: self.messages + next.messages })
    }

    /// Whether this is what `before` has become.
    pub(super) fn contains(self, before: Self) -> bool {
        self.from == before.from && self.to >= before.to && self.messages >= before.messages
    }
}
