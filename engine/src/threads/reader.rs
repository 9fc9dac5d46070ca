//! Reads one worker's share of a source, and waits where the worker must not.

use crate::dataflow::parcel::Parcel;
use crate::flow::Flow;
use crate::halt::Waker;
use crate::threads::Threads;
use operators::stage::{Read, Share};
use operators::{Checkpoint, Error, Span};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Reads ahead of the worker by so many chunks at most.
const READ_AHEAD: usize = 4;

/// How long a reader without room for more waits until it looks whether the run is over.
const ROOM_TIMEOUT: Duration = Duration::from_millis(100);

/// How often a source is asked how far behind it is.
const BEHIND_EVERY: Duration = Duration::from_secs(1);

/// What a reader hands to its worker.
pub(crate) enum Fetched {
    /// Rows and the advance they are.
    Rows(Parcel, Span),
    /// Nothing more will come. A reader that failed hangs up without saying so.
    End,
}

/// Starts reading; `wake` is called after each hand-over.
pub(crate) fn spawn(
    threads: &Threads,
    flow: &Arc<Flow>,
    share: Share,
    from: Checkpoint,
    wake: Waker,
) -> Receiver<Fetched> {
    let (sender, receiver) = sync_channel(READ_AHEAD);
    threads.spawn(flow, "reader", &flow.source_name, move |flow| read_all(flow, share, &from, &sender, &wake));
    receiver
}

fn read_all(
    flow: &Flow,
    share: Share,
    from: &Checkpoint,
    sender: &SyncSender<Fetched>,
    wake: &Waker,
) -> Result<(), Error> {
    let mut reader = flow.source.open(share, from)?;
    let mut asked: Option<Instant> = None;
    while !flow.halt.is_stopping() {
        if !flow.budget.wait_for_room(ROOM_TIMEOUT) {
            continue;
        }
        // Asked before reading: what upstream had committed by then is in what is read now.
        let end_is_near = flow.end.is_near();
        if asked.is_none_or(|at| at.elapsed() >= BEHIND_EVERY) {
            flow.meter.set_lag(share.index, reader.lag()?);
            asked = Some(Instant::now());
        }
        match reader.read()? {
            Read::Rows(chunk, span) => {
                let parcel = Parcel::new(chunk, &flow.budget);
                if sender.send(Fetched::Rows(parcel, span)).is_err() {
                    return Ok(());
                }
                wake();
            }
            Read::CaughtUp(_) if end_is_near => break,
            Read::Pause(time) | Read::CaughtUp(time) => flow.halt.sleep(time),
            Read::End => break,
        }
    }
    flow.meter.set_lag(share.index, reader.lag()?);
    // Whether the worker is still there does not matter any more.
    let _ = sender.send(Fetched::End);
    wake();
    Ok(())
}
