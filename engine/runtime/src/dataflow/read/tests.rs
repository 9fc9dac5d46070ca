use super::*;
use crate::flow::fixture;
use crossbeam_channel::{Sender, unbounded};
use operators_core::{Error, Position};
use pipeline::CommitConfig;
use std::cell::Cell;

/// What the source has sent.
#[derive(Default)]
struct Sent {
    /// The epoch that is open downstream.
    open: Epoch,
    /// Every epoch before is durable.
    durable: Epoch,
    /// Rows, by the epoch they were sent in.
    rows: BTreeMap<Epoch, u64>,
    /// Spans of epochs that are closed.
    spans: BTreeMap<Epoch, Vec<Span>>,
    has_ended: bool,
    wakes: Cell<u32>,
}

impl Downstream for Sent {
    fn send(&mut self, parcel: Parcel) {
        *self.rows.entry(self.open).or_default() += parcel.chunk().len();
    }

    fn close(&mut self, spans: impl Iterator<Item = Span>, last: bool) {
        self.spans.insert(self.open, spans.collect());
        self.open += 1;
        self.has_ended = last;
    }

    fn is_in_flight(&self, epoch: Epoch) -> bool {
        epoch >= self.durable
    }

    fn wake(&self) {
        self.wakes.set(self.wakes.get() + 1);
    }

    fn wake_after(&self, _: Duration) {}
}

/// An operator whose epochs have 10 rows, with the test in the place of its reader.
fn operator() -> (Arc<Flow>, ReadOperator, Sender<Fetched>) {
    let flow = fixture::flow_with(CommitConfig { rows: 10, ..CommitConfig::default() });
    let (fetched, inbox) = unbounded();
    (Arc::clone(&flow), ReadOperator::new(&flow, inbox), fetched)
}

fn fetch(flow: &Arc<Flow>, fetched: &Sender<Fetched>, from: u64, rows: u64) {
    let (from, to) = (Position(from), Position(from + rows));
    let span = Span { partition: 0, from, to, rows, anchor: None };
    fetched.send(Fetched::Rows(fixture::parcel(flow, from.0..to.0), span)).unwrap();
}

#[test]
fn at_most_two_epochs_are_in_flight() {
    let (flow, mut operator, fetched) = operator();
    let mut sent = Sent::default();
    (0..5).for_each(|epoch| fetch(&flow, &fetched, epoch * 10, 10));
    for durable in 0..4 {
        sent.durable = durable;
        operator.activate(&mut sent);
        assert_eq!(sent.rows.len() as u64, durable + 2, "epochs with rows, of which {durable} are durable");
    }
}

#[test]
fn every_row_is_in_the_span_of_its_epoch() {
    let (flow, mut operator, fetched) = operator();
    let mut sent = Sent { durable: Epoch::MAX, ..Sent::default() };
    for (from, rows) in [(0, 4), (4, 5), (9, 9), (18, 1), (19, 20), (39, 0)] {
        fetch(&flow, &fetched, from, rows);
    }
    fetched.send(Fetched::End).unwrap();
    operator.activate(&mut sent);
    assert!(sent.has_ended);
    let spans: Vec<_> = sent.spans.values().flatten().map(|span| (span.from.0, span.to.0, span.rows)).collect();
    assert_eq!(spans, [(0, 18, 18), (18, 39, 21), (39, 39, 0)]);
    let in_spans = |(epoch, rows): (&Epoch, &u64)| sent.spans[epoch].iter().map(|span| span.rows).sum::<u64>() == *rows;
    assert!(sent.rows.iter().all(in_spans), "{:?}", sent.rows);
    operator.activate(&mut sent);
    assert_eq!(sent.open, 3, "nothing follows the end");
}

#[test]
fn an_epoch_stays_open_when_its_reader_has_failed() {
    let (flow, mut operator, fetched) = operator();
    let mut sent = Sent { durable: Epoch::MAX, ..Sent::default() };
    fetch(&flow, &fetched, 0, 4);
    drop(fetched);
    operator.activate(&mut sent);
    flow.fail(&Error::Other("no answer".to_owned()));
    // Neither the end of its time nor another worker closes it now.
    flow.open.close(0);
    operator.activate(&mut sent);
    assert_eq!((sent.open, sent.rows.get(&0)), (0, Some(&4)));
}

#[test]
fn spans_that_leave_rows_out_end_the_flow_and_keep_their_epoch_open() {
    let (flow, mut operator, fetched) = operator();
    let mut sent = Sent { durable: Epoch::MAX, ..Sent::default() };
    fetch(&flow, &fetched, 0, 4);
    fetch(&flow, &fetched, 5, 4);
    operator.activate(&mut sent);
    assert!(flow.halt.failure().is_some_and(|failure| failure.reason.contains("bug")));
    operator.activate(&mut sent);
    assert_eq!((sent.open, sent.rows.get(&0)), (0, Some(&4)));
}

#[test]
fn an_epoch_that_another_worker_closed_is_closed_here_without_rows() {
    let (flow, mut operator, _fetched) = operator();
    let mut sent = Sent { durable: Epoch::MAX, ..Sent::default() };
    flow.open.close(2);
    operator.activate(&mut sent);
    assert_eq!((sent.open, sent.spans.values().flatten().count()), (3, 0));
}

#[test]
fn other_operators_get_their_turn_between_many_chunks() {
    let (flow, mut operator, fetched) = operator();
    let mut sent = Sent { durable: Epoch::MAX, ..Sent::default() };
    (0..100).for_each(|row| fetch(&flow, &fetched, row, 1));
    operator.activate(&mut sent);
    assert_eq!(sent.wakes.get(), 1);
    assert!(sent.rows.values().sum::<u64>() <= CHUNKS_PER_TURN as u64);
}

/// Bursts a second apart and commits every second: wherever the first one falls, the later ones fall just behind a
/// burst.
#[test]
fn commits_move_up_to_bursts() {
    let [every, step] = [10, 1].map(|parts| Duration::from_millis(100) * parts);
    let zero = Instant::now();
    for phase in 0..100 {
        let mut timer = Timer { step, closed: zero + every * phase / 100, alarm: None };
        let burst = |number| zero + every * number;
        let delays = (1..30).map(|number| {
            let due = timer.due(Came { first: burst(number), last: burst(number) });
            assert!(due - timer.closed >= step * 9, "commits come no faster than a tenth early");
            timer.closed = due;
            due - burst(number)
        });
        assert_eq!(delays.last(), Some(step), "phase {phase}");
    }
}

#[test]
fn an_epoch_with_rows_until_its_end_has_its_whole_time() {
    let closed = Instant::now();
    let ms = Duration::from_millis;
    let timer = Timer { step: ms(100), closed, alarm: None };
    let due = |first, last| timer.due(Came { first: closed + ms(first), last: closed + ms(last) }) - closed;
    assert_eq!(due(0, 0), ms(900));
    assert_eq!(due(0, 850), ms(950));
    assert_eq!(due(0, 950), ms(1000));
    assert_eq!(due(1500, 1500), ms(1600), "an epoch after a pause gathers for a moment");
}
