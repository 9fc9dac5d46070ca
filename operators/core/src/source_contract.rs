//! The contract of a source, written once; each source passes it in the tests of its crate.

#![allow(clippy::panic, clippy::unwrap_used)]

use crate::error::{Error, Result};
use crate::position::{Checkpoint, Position, Span};
use crate::stage::{Read, Reader, Recount, Share, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What waits for others, such as a broker, waits this long at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the rows of a source lie, with a dozen rows or more in each partition.
pub trait SourceWorld {
    /// The source, as another process builds it.
    fn source(&self) -> Arc<dyn Source>;

    /// The source partitions that have rows.
    fn partitions(&self) -> u32;

    /// Adds rows to every partition.
    fn add(&self) -> Growth;

    /// Deletes the place and makes another under its name.
    fn recreate(&self) -> Recreation;
}

/// What came of adding rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// So many rows were added to each partition.
    Added(u64),
    /// No row is ever added: the source ends.
    Ends,
}

/// What came of making another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recreation {
    /// It has another identity.
    Another,
    /// The source has no identity: a function of its settings, or a place that cannot tell.
    NoIdentity,
}

/// Checks one thing that the engine relies on.
type Part<W> = (&'static str, fn(&W));

/// Runs every part on a world of its own.
pub fn suite<W: SourceWorld>(fresh: impl Fn() -> W) {
    let parts: [Part<W>; 7] = [
        ("spans follow each other and count their rows", spans),
        ("resume at any position", resume),
        ("positions that do not exist are refused", refusal),
        ("the end, and rows after it", end),
        ("each partition is read by one reader", share),
        ("lag", lag),
        ("identity", identity),
    ];
    for (name, part) in parts {
        let world = fresh();
        println!("{name}: begins");
        part(&world);
    }
}

/// Position and values of each row, by partition.
type Rows = BTreeMap<u32, Vec<(u64, String)>>;

/// What a reader gave until it had no more.
struct Given {
    rows: Rows,
    spans: Vec<Span>,
    next: Checkpoint,
    last: Last,
}

#[derive(Debug, PartialEq, Eq)]
enum Last {
    CaughtUp,
    End,
}

impl Given {
    fn count(&self) -> u64 {
        self.rows.values().map(|rows| rows.len() as u64).sum()
    }
}

/// Reads until there is nothing more for now, and checks each chunk against its span and the one before.
fn drain(reader: &mut dyn Reader, share: Share, from: &Checkpoint) -> Result<Given> {
    let mut given = Given { rows: Rows::new(), spans: Vec::new(), next: from.clone(), last: Last::End };
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "the source never catches up");
        match reader.read()? {
            Read::Rows(chunk, span) => {
                assert!(share.owns(span.partition), "{span} is not in the share of {share:?}");
                assert_eq!((chunk.source, chunk.len()), (span.partition, span.rows), "{span}");
                given.next.advance(&span).unwrap_or_else(|error| panic!("{error}"));
                let rows = given.rows.entry(span.partition).or_default();
                for (row, &position) in chunk.positions.values().iter().enumerate() {
                    assert!((span.from.0..span.to.0).contains(&position), "{position} is not in {span}");
                    assert!(rows.last().is_none_or(|(last, _)| *last < position), "{position} is out of order");
                    rows.push((position, format!("{:?}", chunk.rows.slice(row, 1).columns())));
                }
                given.spans.push(span);
            }
            Read::Pause(time) => std::thread::sleep(time),
            Read::CaughtUp(_) => {
                given.last = Last::CaughtUp;
                return Ok(given);
            }
            Read::End => return Ok(given),
        }
    }
}

/// Opens a source as the engine does, and reads all that it gives from there.
fn read_from(source: &dyn Source, share: Share, from: &Checkpoint) -> Result<Given> {
    let mut reader = open(source, share, from)?;
    drain(&mut *reader, share, from)
}

fn open(source: &dyn Source, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
    if from.0.is_empty() {
        source.starts()?;
    }
    source.open(share, from)
}

const ALL: Share = Share { index: 0, of: 1 };

/// All rows, which are in every partition.
fn whole<W: SourceWorld>(world: &W) -> Given {
    let given = read_from(&*world.source(), ALL, &Checkpoint::default()).unwrap();
    assert!(given.rows.keys().copied().eq(0..world.partitions()), "{:?}", given.rows.keys());
    assert!(given.rows.values().all(|rows| rows.len() >= 12), "too few rows to show anything");
    given
}

fn spans<W: SourceWorld>(world: &W) {
    let given = whole(world);
    assert_eq!(given.spans.iter().map(|span| span.rows).sum::<u64>(), given.count());
    let source = world.source();
    for span in &given.spans {
        match source.count(span, &mut |_| {}).unwrap() {
            Recount::Complete(rows) | Recount::Partial(rows, _) => assert_eq!(rows, span.rows, "{span}"),
            other => panic!("{span}: {other:?}"),
        }
    }
}

fn resume<W: SourceWorld>(world: &W) {
    let given = whole(world);
    let mut positions = 0;
    for (&partition, rows) in &given.rows {
        let ends = given.next.position(partition).map(|end| end.0);
        for from in rows.iter().map(|(position, _)| *position).chain(ends) {
            let mut at = given.next.clone();
            at.0.insert(partition, Position(from));
            let rest: Vec<_> = rows.iter().filter(|(position, _)| *position >= from).cloned().collect();
            let mut resumed = read_from(&*world.source(), ALL, &at).unwrap();
            assert_eq!(resumed.rows.remove(&partition).unwrap_or_default(), rest, "partition {partition} from {from}");
            assert!(resumed.rows.is_empty(), "the other partitions were read to their ends");
            assert_eq!(resumed.next, given.next);
            positions += 1;
        }
    }
    println!("resumed at {positions} positions");
}

fn refusal<W: SourceWorld>(world: &W) {
    let mut beyond = whole(world).next;
    let Some(end) = beyond.0.get_mut(&0) else { panic!("partition 0 has rows") };
    end.0 += 1000;
    let refused = read_from(&*world.source(), ALL, &beyond);
    assert!(matches!(refused, Err(Error::Refused { .. })), "{:?}", refused.map(|given| given.spans));
}

fn end<W: SourceWorld>(world: &W) {
    let source = world.source();
    let mut reader = open(&*source, ALL, &Checkpoint::default()).unwrap();
    let first = drain(&mut *reader, ALL, &Checkpoint::default()).unwrap();
    let growth = world.add();
    match growth {
        Growth::Ends => {
            assert_eq!(first.last, Last::End);
            assert!(matches!(reader.read().unwrap(), Read::End), "an end is for good");
        }
        Growth::Added(added) => {
            assert_eq!(first.last, Last::CaughtUp);
            let began = Instant::now();
            let mut second = drain(&mut *reader, ALL, &first.next).unwrap();
            // What was added is seen a moment later in some places.
            while second.count() < added * u64::from(world.partitions()) {
                assert!(began.elapsed() < PATIENCE, "only {} rows came", second.count());
                let more = drain(&mut *reader, ALL, &second.next).unwrap();
                more.rows
                    .into_iter()
                    .for_each(|(partition, rows)| second.rows.entry(partition).or_default().extend(rows));
                second.next = more.next;
            }
            let mut joined = first.rows;
            second.rows.into_iter().for_each(|(partition, rows)| joined.entry(partition).or_default().extend(rows));
            assert_eq!(joined, whole(world).rows, "rows that came later are read once, after those before");
        }
    }
}

fn share<W: SourceWorld>(world: &W) {
    let given = whole(world);
    for of in 1..=world.partitions() + 1 {
        let source = world.source();
        let mut joined = Rows::new();
        for index in 0..of {
            // Every row is of a partition in this share, or `drain` fails.
            let part = read_from(&*source, Share { index, of }, &Checkpoint::default()).unwrap();
            joined.extend(part.rows);
        }
        assert_eq!(joined, given.rows, "by {of} readers");
    }
}

fn lag<W: SourceWorld>(world: &W) {
    let source = world.source();
    let all = whole(world).count();
    let mut reader = open(&*source, ALL, &Checkpoint::default()).unwrap();
    let before = eventually(&mut *reader, |lag| lag.is_some_and(|rows| rows >= all));
    assert!(before.is_some_and(|rows| rows <= 2 * all), "{before:?} for {all} rows");
    drain(&mut *reader, ALL, &Checkpoint::default()).unwrap();
    eventually(&mut *reader, |lag| lag == Some(0));
    if let Growth::Added(rows) = world.add() {
        let added = rows * u64::from(world.partitions());
        eventually(&mut *reader, |lag| lag.is_some_and(|rows| rows >= added));
    }
}

/// The lag once it is as it should be: servers tell of their ends a moment later.
fn eventually(reader: &mut dyn Reader, is_right: impl Fn(Option<u64>) -> bool) -> Option<u64> {
    let began = Instant::now();
    loop {
        let lag = reader.lag().unwrap().total();
        if is_right(lag) {
            return lag;
        }
        assert!(began.elapsed() < PATIENCE, "the lag stays {lag:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn identity<W: SourceWorld>(world: &W) {
    let stored = world.source().identity().unwrap();
    assert_eq!(world.source().identity().unwrap(), stored, "another process sees the same place");
    if let Some(stored) = &stored {
        assert_eq!(world.source().if_another(stored, Some(stored)), None);
        assert!(world.source().if_another(stored, None).is_some(), "it may be gone");
    }
    let recreation = world.recreate();
    let now = world.source().identity().unwrap();
    match recreation {
        Recreation::NoIdentity => assert_eq!((stored, now), (None, None)),
        Recreation::Another => {
            let stored = stored.unwrap_or_else(|| panic!("a place that is there has an identity"));
            assert!(now.is_some());
            assert_ne!(now.as_ref(), Some(&stored));
            let advice = world.source().if_another(&stored, now.as_deref());
            assert!(advice.is_some_and(|advice| !advice.is_empty()), "what to do about it");
        }
    }
}
