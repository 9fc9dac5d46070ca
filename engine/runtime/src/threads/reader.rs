//! Reads one worker's share of a source, and waits where the worker must not.

use crate::dataflow::parcel::Parcel;
use crate::flow::Flow;
use crate::flow::halt::Waker;
use crate::threads::Threads;
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use operators_core::stage::{Read, Reader, Share};
use operators_core::{Checkpoint, Error, Span};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reads ahead of the worker by so many chunks at most.
const READ_AHEAD: usize = 4;

/// How long a reader without room for more waits until it looks whether the run is over.
const ROOM_TIMEOUT: Duration = Duration::from_millis(100);

/// How often a source is asked how far behind it is.
const BEHIND_EVERY: Duration = Duration::from_secs(1);

/// The question may take one part in so many of the time: a server that is slow to answer is asked less often.
const BEHIND_SHARE: u32 = 10;

/// What a reader hands to its worker.
#[expect(clippy::large_enum_variant, reason = "it is moved once for thousands of rows")]
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
    let (sender, receiver) = bounded(READ_AHEAD);
    threads.spawn(flow, "reader", &flow.source_name, move |flow| read_all(flow, share, &from, &sender, &wake));
    receiver
}

fn read_all(flow: &Flow, share: Share, from: &Checkpoint, sender: &Sender<Fetched>, wake: &Waker) -> Result<(), Error> {
    let mut reader = flow.source.open(share, from)?;
    let mut behind = Behind { worker: share.index, due: Instant::now() };
    while !flow.halt.is_stopping() {
        behind.look(flow, &mut *reader);
        if !flow.budget.wait_for_room(ROOM_TIMEOUT) {
            continue;
        }
        // Asked before reading: what upstream had committed by then is in what is read now.
        let end_is_near = flow.end.is_near();
        let read = reader.read()?;
        flow.meter.set_up();
        match read {
            Read::Rows(chunk, span) => {
                let mut fetched = Fetched::Rows(Parcel::new(chunk, &flow.budget), span);
                while let Err(error) = sender.send_timeout(fetched, ROOM_TIMEOUT) {
                    let SendTimeoutError::Timeout(back) = error else { return Ok(()) };
                    fetched = back;
                    behind.look(flow, &mut *reader);
                }
                wake();
            }
            Read::CaughtUp(_) if end_is_near => break,
            Read::Pause(time) | Read::CaughtUp(time) => flow.halt.sleep(time),
            Read::End => break,
        }
    }
    behind.due = Instant::now();
    behind.look(flow, &mut *reader);
    // Whether the worker is still there does not matter any more.
    let _ = sender.send(Fetched::End);
    wake();
    Ok(())
}

/// How far a reader is behind its source: for people, and never at the cost of a row or of the time to read one.
struct Behind {
    worker: u32,
    /// When it is asked next.
    due: Instant,
}

impl Behind {
    fn look(&mut self, flow: &Flow, reader: &mut dyn Reader) {
        let asked = Instant::now();
        // Whoever stops a run waits for its last commit, and not for this.
        if asked < self.due || flow.halt.is_stopping() {
            return;
        }
        match reader.lag() {
            Ok(lag) => flow.meter.set_lag(self.worker, lag),
            Err(error) => tracing::debug!(%error, "the source does not say how far it is"),
        }
        self.due = Instant::now() + BEHIND_EVERY.max(asked.elapsed() * BEHIND_SHARE);
    }
}
