//! Which batch is the newest, from the names in two segments. Nothing here makes a call.

use super::layout::Segment;
use crate::archive::listing::Name;
use crate::store::{Entry, EntryKind};
use operators_core::progress::Version;

/// The segments among these names, in no order.
pub(super) fn segments(root: &[Entry]) -> impl Iterator<Item = Segment> {
    root.iter().filter_map(|entry| match Name::parse(&entry.name) {
        Name::Segment(segment) => Some(segment),
        _ => None,
    })
}

/// A segment whose name is that of a file.
pub(super) fn not_a_directory(root: &[Entry]) -> Option<Segment> {
    let mut files = root.iter().filter(|entry| entry.kind != EntryKind::Directory);
    files.find_map(|entry| segments(std::slice::from_ref(entry)).next())
}

/// The last segment and the one before, last first.
pub(super) fn last_two_segments(root: &[Entry]) -> Vec<Segment> {
    let mut segments: Vec<_> = segments(root).collect();
    segments.sort_unstable_by(|a, b| b.cmp(a));
    segments.truncate(2);
    segments
}

/// What is known of the newest batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// No batch was seen yet.
    NoBatch,
    /// This one.
    Batch(Version),
    /// It should be this one, as the segment after it was begun, but it is not there.
    Missing(Version),
}

impl Newest {
    /// Goes on to a segment before those seen. A segment without batches is one in which the first commit was about to
    /// be made, and then the segment before it is full.
    pub(super) fn or_in(self, segment: Segment, entries: &[Entry]) -> Self {
        let newest = entries.iter().filter_map(|entry| segment.batch(&entry.name)).max();
        match (self, newest) {
            (Self::Batch(version), _) => Self::Batch(version),
            (Self::Missing(expected), Some(version)) if version == expected => Self::Batch(version),
            (Self::Missing(expected), _) => Self::Missing(expected),
            (Self::NoBatch, Some(version)) => Self::Batch(version),
            (Self::NoBatch, None) => segment.before().map_or(Self::NoBatch, |before| Self::Missing(before.last())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| Entry { name: (*name).to_owned(), kind: EntryKind::Directory }).collect()
    }

    #[test]
    fn the_newest_batch_is_in_the_last_segment_or_ends_the_one_before() {
        let newest = |root: &[&str], last: &[&str], before: &[&str]| {
            let segments = last_two_segments(&entries(root));
            segments.iter().zip([last, before]).fold(Newest::NoBatch, |n, (s, names)| n.or_in(*s, &entries(names)))
        };
        let (two, full) = (["segment=000000", "segment=000001", "_staging"], "batch=00000000000000099999");
        assert_eq!(newest(&[], &[], &[]), Newest::NoBatch);
        assert_eq!(newest(&["segment=000000"], &[], &[]), Newest::NoBatch);
        assert_eq!(newest(&two[..1], &["batch=00000000000000000007", "batch=9", "x"], &[]), Newest::Batch(Version(7)));
        assert_eq!(newest(&two, &["batch=00000000000000100000"], &[full]), Newest::Batch(Version(100_000)));
        assert_eq!(newest(&two, &[], &[full]), Newest::Batch(Version(99_999)));
        let missing = Newest::Missing(Version(99_999));
        assert_eq!(newest(&two, &[], &["batch=00000000000000099998"]), missing, "its last batch is gone");
        assert_eq!(newest(&two, &[], &[]), missing);
        assert_eq!(newest(&two[1..], &[], &[]), missing, "the whole segment is gone");
        assert_eq!(newest(&two, &[full], &[]), missing, "a batch in the wrong segment does not count");
    }
}
