//! The steps of a proof that no server can be made to show on purpose.

use super::look::Look;
use super::open_transactions::{REGISTERED, Trx, Watch};
use std::time::{Duration, Instant};

fn trx(thread: u64, started: &str, id: u64) -> Trx {
    Trx { thread, started: started.into(), id }
}

fn look(running: &[(u64, u64)], open: &[Trx]) -> Look {
    Look { end: 10, running: running.iter().copied().collect(), open: Some(open.iter().cloned().collect()) }
}

/// An id is taken a moment before its transaction is registered: the statement is waited for until that shows.
#[test]
fn a_statement_whose_transaction_is_not_registered_yet_is_waited_for() {
    let mut watch = Watch::begin(&look(&[(7, 0)], &[])).unwrap();
    assert!(!watch.is_over());
    watch.go_on(&look(&[(7, 0)], &[]));
    assert!(!watch.is_over(), "the same statement, not registered yet");
    watch.go_on(&look(&[], &[trx(7, "12:00:00", 500)]));
    assert!(!watch.is_over(), "its transaction is open now, though its statement is over");
    watch.go_on(&look(&[(7, 0)], &[trx(7, "12:00:01", 501)]));
    assert!(watch.is_over(), "another transaction of the same connection");
    // A statement that ended without a transaction: committed or rolled back.
    let mut watch = Watch::begin(&look(&[(7, 0)], &[])).unwrap();
    watch.go_on(&look(&[], &[]));
    assert!(watch.is_over());
}

#[test]
fn a_statement_that_began_later_is_not_waited_for() {
    let mut watch = Watch::begin(&look(&[(7, 5), (8, 5)], &[])).unwrap();
    watch.since = Instant::now().checked_sub(Duration::from_secs(4)).unwrap();
    watch.go_on(&look(&[(7, 9), (8, 1)], &[]));
    assert_eq!(watch.running, [7].into());
    // One that still has not registered writes no rows.
    watch.since = Instant::now().checked_sub(REGISTERED).unwrap();
    assert_eq!(watch.go_on(&look(&[(7, 15)], &[])), [7], "it is told, as it goes on");
    assert!(watch.is_over());
}

/// The id of a transaction changes with its first write, and XA COMMIT by another connection changes its connection.
#[test]
fn a_transaction_is_known_by_either_of_its_names() {
    let never_wrote = (1 << 48) + 77;
    let mut watch = Watch::begin(&look(&[], &[trx(7, "12:00:00", never_wrote), trx(0, "11:00:00", 400)])).unwrap();
    watch.go_on(&look(&[], &[trx(7, "12:00:00", 500), trx(9, "11:00:00", 400)]));
    assert_eq!(watch.open.len(), 2);
    // What a transaction that never wrote had for an id is used again by the next one.
    let mut watch = Watch::begin(&look(&[], &[trx(7, "12:00:00", never_wrote)])).unwrap();
    watch.go_on(&look(&[], &[trx(7, "12:00:05", never_wrote)]));
    assert!(watch.is_over());
    // Seen before its first write, then written, then prepared and left: the last name has nothing of the first.
    let mut watch = Watch::begin(&look(&[], &[trx(7, "12:00:00", never_wrote)])).unwrap();
    watch.go_on(&look(&[], &[trx(7, "12:00:00", 500)]));
    watch.go_on(&look(&[], &[trx(0, "12:00:00", 500)]));
    assert!(!watch.is_over(), "the same transaction under its third name");
}

#[test]
fn an_old_copy_begins_and_ends_nothing() {
    let old = Look { open: None, ..look(&[], &[]) };
    assert!(Watch::begin(&old).is_none());
    let mut watch = Watch::begin(&look(&[(8, 0)], &[trx(7, "12:00:00", 500)])).unwrap();
    watch.go_on(&old);
    assert_eq!((watch.open.len(), watch.running.len()), (1, 1));
}
