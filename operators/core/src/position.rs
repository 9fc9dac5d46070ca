//! The algebra of progress: where a source partition stands, and what one batch moved it by.
//!
//! Spans are half-open, `[from, to)`, and checkpoints store the *next* position, so that no `+ 1` or `- 1` is ever
//! needed and 0 is an ordinary position.
//!
//! | checkpoint | span | outcome of [`Checkpoint::advance`] |
//! |---|---|---|
//! | partition unknown | `[a, b)` | partition stands at `b` |
//! | stands at `a` | `[a, b)` | stands at `b` |
//! | stands at `a` | `[c, b)`, `c > a` | refused: `[a, c)` would be lost |
//! | stands at `a` | `[c, b)`, `c < a` | refused: `[c, a)` would be doubled |
//! | any | `[a, b)`, `b < a` | refused: runs backwards |

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The next thing to read of a source partition: an offset, an id, a row number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The last row before a position, and the leader epoch in which a log took it: one that was cut and written to again
/// has the same offsets, and other epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Where the row is.
    pub at: Position,
    /// Counted up by the log with each change of who leads it.
    pub epoch: u32,
}

/// The anchors of positions, where a source can tell them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Anchors(pub BTreeMap<u32, Anchor>);

impl Anchors {
    /// Moves with the position of the span's partition.
    pub fn advance(&mut self, span: &Span) {
        let anchor = span.anchor_after(self.0.remove(&span.partition));
        self.0.extend(anchor.map(|anchor| (span.partition, anchor)));
    }
}

/// A half-open advance `[from, to)` of one source partition, with the rows that were read in it.
///
/// `rows` may be less than `to - from`: a source may have gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Source partition.
    pub partition: u32,
    /// First position of the span.
    pub from: Position,
    /// First position after the span.
    pub to: Position,
    /// Rows read in it.
    pub rows: u64,
    /// The last row before `to`, where the source can tell.
    #[serde(default)]
    pub anchor: Option<Anchor>,
}

impl Span {
    /// Joins the span that follows at once in the same partition; any other is an error.
    pub fn extend(&mut self, next: &Span) -> Result<(), SpanError> {
        if next.partition != self.partition {
            return Err(SpanError::OtherPartition { span: *next, partition: self.partition });
        }
        check(self.to, next)?;
        self.to = next.to;
        self.rows += next.rows;
        self.anchor = next.anchor_after(self.anchor);
        Ok(())
    }

    /// The anchor behind this span, with `before` in front of it; a last row that cannot be told leaves none.
    fn anchor_after(&self, before: Option<Anchor>) -> Option<Anchor> {
        if self.rows > 0 { self.anchor } else { self.anchor.or(before) }
    }
}

/// Adds the spans of one commit to all that was read before it, which is one span for each partition.
pub fn join(all: &mut Vec<Span>, steps: &[Span]) -> Result<(), SpanError> {
    for step in steps {
        match all.iter_mut().find(|span| span.partition == step.partition) {
            Some(span) => span.extend(step)?,
            None => all.push(*step),
        }
    }
    Ok(())
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} [{}, {})", self.partition, self.from, self.to)
    }
}

/// Next positions of all source partitions; a partition that is not listed was never read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(pub BTreeMap<u32, Position>);

impl Checkpoint {
    /// The next position of a partition, or `None` when it was never read.
    pub fn position(&self, partition: u32) -> Option<Position> {
        self.0.get(&partition).copied()
    }

    /// Moves one partition over a span that begins where it stands.
    pub fn advance(&mut self, span: &Span) -> Result<(), SpanError> {
        check(self.position(span.partition).unwrap_or(span.from), span)?;
        self.0.insert(span.partition, span.to);
        Ok(())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (partition, position)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{partition}: {position}")?;
        }
        Ok(())
    }
}

/// Rows of each partition that are there and not read yet; a partition without an entry cannot be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Lag(pub BTreeMap<u32, u64>);

impl Lag {
    /// The lag of one partition alone.
    pub fn of(partition: u32, rows: u64) -> Self {
        Self(BTreeMap::from([(partition, rows)]))
    }

    /// Rows of all partitions, or `None` when nothing is known of any.
    pub fn total(&self) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.values().sum())
    }
}

fn check(at: Position, span: &Span) -> Result<(), SpanError> {
    if span.to < span.from {
        Err(SpanError::Backwards { span: *span })
    } else if span.from > at {
        Err(SpanError::Gap { at, span: *span })
    } else if span.from < at {
        Err(SpanError::Overlap { at, span: *span })
    } else {
        Ok(())
    }
}

/// Why a span does not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Rows between would be lost.
    #[error("{span} does not follow {at}: [{at}, {}) would be lost", span.from)]
    Gap {
        /// Where the partition stands.
        at: Position,
        /// The span refused.
        span: Span,
    },
    /// Rows before would be doubled.
    #[error("{span} does not follow {at}: [{}, {at}) would be doubled", span.from)]
    Overlap {
        /// Where the partition stands.
        at: Position,
        /// The span refused.
        span: Span,
    },
    /// The span ends before it begins.
    #[error("{span} runs backwards")]
    Backwards {
        /// The span refused.
        span: Span,
    },
    /// The span belongs to another partition.
    #[error("{span} cannot extend a span of partition {partition}")]
    OtherPartition {
        /// The span refused.
        span: Span,
        /// The partition of the span it was to extend.
        partition: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(partition: u32, from: u64, to: u64) -> Span {
        Span { partition, from: Position(from), to: Position(to), rows: to.saturating_sub(from), anchor: None }
    }

    proptest! {
        /// However a history is cut into spans, its checkpoint and its row count are the same.
        #[test]
        fn cutting_does_not_matter(cuts in proptest::collection::vec(0u64..1000, 1..20)) {
            let mut sorted = cuts;
            sorted.push(0);
            sorted.sort_unstable();
            let end = *sorted.last().unwrap();
            let mut checkpoint = Checkpoint::default();
            let mut joined = span(7, 0, 0);
            for pair in sorted.windows(2) {
                let step = span(7, pair[0], pair[1]);
                checkpoint.advance(&step).unwrap();
                joined.extend(&step).unwrap();
            }
            prop_assert_eq!(checkpoint.position(7), Some(Position(end)));
            prop_assert_eq!(joined, span(7, 0, end));
        }

        /// Only the span that begins where the partition stands is taken; a refusal changes nothing.
        #[test]
        fn only_the_next_span_follows(at in 1u64..1000, from in 0u64..1000, length in 0u64..10) {
            let mut checkpoint = Checkpoint::default();
            checkpoint.advance(&span(0, 0, at)).unwrap();
            let before = checkpoint.clone();
            let next = span(0, from, from + length);
            match checkpoint.advance(&next) {
                Ok(()) => prop_assert_eq!(from, at),
                Err(SpanError::Gap { .. }) => prop_assert!(from > at),
                Err(SpanError::Overlap { .. }) => prop_assert!(from < at),
                Err(other) => prop_assert!(false, "{}", other),
            }
            if from != at {
                prop_assert_eq!(checkpoint, before);
            }
        }
    }

    #[test]
    fn an_anchor_is_of_the_last_row() {
        let anchor = |at| Some(Anchor { at: Position(at), epoch: 1 });
        let told = |from, to| Span { anchor: anchor(to - 1), ..span(0, from, to) };
        let markers = |from, to| Span { rows: 0, ..span(0, from, to) };
        for (next, expected) in [(told(2, 4), anchor(3)), (markers(2, 4), anchor(1)), (span(0, 2, 4), None)] {
            let mut joined = told(0, 2);
            joined.extend(&next).unwrap();
            let mut anchors = Anchors::default();
            anchors.advance(&told(0, 2));
            anchors.advance(&next);
            assert_eq!((joined.anchor, anchors.0.get(&0).copied()), (expected, expected), "{next}");
        }
    }

    #[test]
    fn a_partition_never_read_starts_where_its_first_span_does() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.advance(&span(3, 40, 42)).unwrap();
        assert_eq!(checkpoint.position(3), Some(Position(42)));
        assert_eq!(checkpoint.position(4), None);
    }

    #[test]
    fn backwards_and_foreign_spans_are_refused() {
        let mut checkpoint = Checkpoint::default();
        assert!(matches!(checkpoint.advance(&span(0, 5, 4)), Err(SpanError::Backwards { .. })));
        let mut one = span(0, 0, 4);
        assert!(matches!(one.extend(&span(1, 4, 5)), Err(SpanError::OtherPartition { .. })));
    }
}
