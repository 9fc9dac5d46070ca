//! The edges between workers, which may be in different processes, and the list of what may travel on them.
//!
//! Timely sends records to another process in bincode, which stores no field names and reads exactly what the type
//! declares: a field that serde skips shifts everything after it. JSON tolerates that, so only the tests below notice.

use super::Edge;
use super::parcel::{Delivery, Entry, Parcel};
use operators_core::Span;
use timely::ExchangeData;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::vec::Broadcast;

/// A record that may be sent to another worker.
pub(super) trait Exchanged: ExchangeData + Clone {}

/// Lists the types that may be sent to another worker. The tests need examples of each.
macro_rules! exchanged {
    ($($record:ty),+ $(,)?) => {
        $(impl Exchanged for $record {})+

        #[cfg(test)]
        fn check_every_wire_form() {
            $(tests::check_wire_form::<$record>();)+
        }
    };
}

exchanged!(Parcel, Span, Delivery, Entry);

/// Sends each record to the worker that `to` names, modulo the number of workers.
pub(super) fn route<D, F>(to: F) -> Exchange<D, F>
where
    D: Exchanged,
    F: FnMut(&D) -> u64 + 'static,
{
    Exchange::new(to)
}

/// Sends a copy of each record to every worker.
pub(super) fn to_every_worker<D: Exchanged>(records: Edge<'_, D>) -> Edge<'_, D> {
    records.broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::budget::Budget;
    use crate::flow::epoch::Epoch;
    use operators_core::chunk::Kind;
    use operators_core::config::{Context, Interval};
    use operators_core::position::Anchor;
    use operators_core::progress::{Contents, FileEntry, Receipt, Tally};
    use operators_core::stage::{Read, Share};
    use operators_core::{Checkpoint, Chunk, Position};
    use stages::source::SourceConfig;
    use stages::source::weather::WeatherConfig;
    use std::fmt::Debug;
    use std::time::Duration;
    use timely::bytes::arc::BytesMut;
    use timely::communication::Bytesable;
    use timely::dataflow::channels::{ContainerBytes, Message};

    /// Values of a record that between them use every variant, and every optional or repeated field both ways.
    pub(super) trait Examples: Exchanged {
        /// The part that crosses processes.
        type Content: Debug + PartialEq;

        fn examples() -> Vec<Self>;

        fn content(self) -> Self::Content;
    }

    #[test]
    fn every_exchanged_record_survives_the_wire() {
        check_every_wire_form();
    }

    /// Alone, together and not at all: a record that is written too short or too long spoils the next one.
    pub(super) fn check_wire_form<D: Examples>() {
        let all = D::examples();
        let batches = all.iter().map(|one| vec![one.clone()]).chain([all.clone(), Vec::new()]);
        for batch in batches {
            let sent: Vec<_> = batch.iter().cloned().map(D::content).collect();
            let received: Vec<_> = through_the_wire(batch.clone()).into_iter().map(D::content).collect();
            assert_eq!(received, sent);
            // A broadcast sends each record with the number of the worker it is for.
            let numbered = (0u64..).zip(batch).collect();
            let (workers, received): (Vec<_>, Vec<_>) = through_the_wire(numbered).into_iter().unzip();
            assert_eq!(workers, (0..sent.len() as u64).collect::<Vec<_>>());
            assert_eq!(received.into_iter().map(D::content).collect::<Vec<_>>(), sent);
        }
    }

    /// What timely does with a message between two processes, by its own functions.
    fn through_the_wire<D>(records: Vec<D>) -> Vec<D>
    where
        Vec<D>: ContainerBytes,
    {
        let message = Message { stamp: [Epoch::MAX].into_iter().collect(), data: records, from: 1, seq: 7 };
        let mut bytes = Vec::new();
        message.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), message.length_in_bytes(), "timely reserves as many bytes as it announces");
        let received = Message::<Epoch, Vec<D>>::from_bytes(BytesMut::from(bytes).freeze());
        assert_eq!((received.stamp, received.from, received.seq), (message.stamp, 1, 7));
        received.data
    }

    fn chunks() -> Vec<Chunk> {
        let config = WeatherConfig { every: Interval(Duration::ZERO), ..WeatherConfig::default() };
        let source = SourceConfig::Weather(config).build(&Context { dir: "/".into() }).unwrap().source;
        let mut reader = source.open(Share { index: 0, of: 1 }, &Checkpoint::default()).unwrap();
        let Read::Rows(rows, _) = reader.read().unwrap() else { panic!("no rows") };
        let mut dead = rows.slice(7, 1);
        (dead.kind, dead.source, dead.partition) = (Kind::DeadLetters, u32::MAX, 3);
        vec![rows.slice(0, 0), dead, rows]
    }

    fn tally() -> Tally {
        Tally { read: u64::MAX, written: 1, filtered: 2, skipped: 3, dead_letters: 4 }
    }

    impl Examples for Parcel {
        type Content = Chunk;

        fn examples() -> Vec<Self> {
            let budget = Budget::new(u64::MAX);
            chunks().into_iter().map(|chunk| Self::new(chunk, &budget)).collect()
        }

        fn content(self) -> Chunk {
            self.into_chunk()
        }
    }

    impl Examples for Span {
        type Content = Self;

        fn examples() -> Vec<Self> {
            let [from, to] = [3, u64::MAX].map(Position);
            let without = Self { partition: 0, from, to: from, rows: 0, anchor: None };
            let anchor = Some(Anchor { at: Position(u64::MAX - 1), epoch: u32::MAX });
            let with = Self { partition: u32::MAX, from, to, rows: 5, anchor };
            vec![without, with, Self { anchor: None, ..with }, Self { anchor, ..without }]
        }

        fn content(self) -> Self {
            self
        }
    }

    impl Examples for Delivery {
        type Content = Receipt;

        fn examples() -> Vec<Self> {
            let digest = format!("blake3:{}", "0f".repeat(32)).parse().ok();
            assert!(digest.is_some());
            let file = FileEntry { name: "partition-0-batch-1.parquet".to_owned(), rows: u64::MAX, bytes: 1, digest };
            let empty = FileEntry { name: String::new(), rows: 0, bytes: 0, digest: None };
            let budget = Budget::new(u64::MAX);
            [
                Contents::Files(Vec::new()),
                Contents::Files(vec![file, empty]),
                Contents::Chunks(Vec::new()),
                Contents::Chunks(chunks()),
            ]
            .map(|contents| Receipt { rows: 1, dead_letters: u64::MAX, contents })
            .map(|receipt| Self::new(receipt, budget.lease(1)))
            .into()
        }

        fn content(self) -> Receipt {
            self.into_parts().0
        }
    }

    impl Examples for Entry {
        type Content = Self;

        fn examples() -> Vec<Self> {
            let left_out = [Self::LeftOut(Tally::default()), Self::LeftOut(tally())];
            Span::examples().into_iter().map(Self::Read).chain(left_out).collect()
        }

        fn content(self) -> Self {
            self
        }
    }
}
